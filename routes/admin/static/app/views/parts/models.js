// The models that may be asked, and who answered what was asked here.
import { effect, html, signal } from "../../lib.js";
import { get } from "../../api.js";
import { plural, t } from "../../i18n.js";
import { back, served as all } from "../../live.js";
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

effect(() => {
  if (back.value && models.peek()?.error) loadModels();
});

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

/** Which account answered a request, or was asked last, once the journal tells it. */
export function AskedWhom({ id }) {
  const entry = all.value.find((one) => one.id === id);
  if (!entry) return null;
  const { asked } = entry;
  const end = asked.at(-1);
  const served = end && end.outcome !== "cancelled" && entry.outcome === "ok";
  return html`<span class="asked">${end && t(served ? "play.served" : "play.asked")} ${end && html`<a href=${href("/accounts", end.account)}>${end.account}</a> `}
    ${asked.length > 1 && `${plural("play.after", asked.length - 1)} `}<a href=${href("/requests", id)}>${t("play.details")}</a></span>`;
}
