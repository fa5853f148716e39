// The models that may be asked, and who answered what was asked here.
import { html, signal } from "../../lib.js";
import { get } from "../../api.js";
import { t } from "../../i18n.js";
import { served } from "../../live.js";
import { href } from "../../router.js";

/** What GET /api/models said: {models, categories: {text, image}, default, default_image}; {error} where it could not be asked. */
export const models = signal(null);

export async function loadModels() {
  try {
    models.value = await get("/api/models");
  } catch (error) {
    if (!models.value?.models) models.value = { error };
  }
}

/** An id by which a request made here is found again in the journal and the log. */
export const newRequestId = () => `page-${newKey()}`;

export const newKey = () => [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Options of a <select>, by what they make. kinds: "text", "image". */
export function ModelOptions({ kinds }) {
  const named = new Map(models.value.models.map((one) => [one.id, one.name]));
  const options = (kind) =>
    models.value.categories[kind].map((id) => html`<option key=${id} value=${id}>${named.get(id) === id ? id : `${id} (${named.get(id)})`}</option>`);
  if (kinds.length === 1) return options(kinds[0]);
  return kinds.map((kind) => html`<optgroup key=${kind} label=${t(`models.${kind}`)}>${options(kind)}</optgroup>`);
}

/** The accounts that were asked for a request, in their order, once the journal tells them. */
export function AskedWhom({ id }) {
  const entry = served.value.find((one) => one.id === id);
  if (!entry) return null;
  return html`<span class="asked">${entry.asked.length ? t("play.served") : ""} ${entry.asked.map(
    (one, i) => html`${i ? " → " : ""}<a href=${href("/accounts", one.account)}>${one.account}</a>`,
  )} · <a href=${href("/requests", id)}>${t("play.details")}</a></span>`;
}
