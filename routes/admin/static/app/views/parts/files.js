// Pictures as files: read, told apart, found again.

/** A File or Blob as a data URL. */
export const dataUrlOf = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });

/** The bytes of base64 text as a Blob. */
export function blobOf(base64, type) {
  const raw = atob(base64);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Blob([bytes], { type });
}

/** The IPTC word in the file's XMP for where the picture comes from ("trainedAlgorithmicMedia"), "" for none. */
export async function originOf(blob) {
  const text = new TextDecoder("latin1").decode(await blob.arrayBuffer());
  return /digitalsourcetype\/(\w+)/.exec(text)?.[1] ?? "";
}

/** A link to a picture in the gateway's own folder, as this page reaches it whatever host it was made for; "" for another's. */
export function ownLink(url) {
  try {
    const { pathname } = new URL(url, location.href);
    return pathname.startsWith("/files/") ? pathname : "";
  } catch {
    return "";
  }
}

/** Whether a file is a picture, as far as this browser can tell: kinds that it does not draw itself are left to the gateway. */
export async function isPicture(file) {
  if (!file.type.startsWith("image/")) return false;
  if (!/^image\/(png|jpeg|gif|webp)$/.test(file.type)) return true;
  try {
    (await createImageBitmap(file)).close();
    return true;
  } catch {
    return false;
  }
}

/** Picture files among what was pasted or dropped. */
export const picturesIn = (transfer) => [...(transfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));
