import { html } from "../lib.js";
import { t } from "../i18n.js";
export default function Overview() {
  return html`<h1>${t("nav.overview")}</h1>`;
}
