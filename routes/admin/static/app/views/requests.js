// requests
import { html } from "../lib.js";
import { t } from "../i18n.js";
import { Loading } from "../ui.js";

export default function View() {
  return html`<h1>${t("nav.requests")}</h1><${Loading} />`;
}
