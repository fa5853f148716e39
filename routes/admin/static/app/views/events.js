import { html } from "../lib.js";
import { t } from "../i18n.js";
export default function Events() {
  return html`<h1>${t("nav.events")}</h1>`;
}
