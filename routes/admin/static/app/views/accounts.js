import { html } from "../lib.js";
import { t } from "../i18n.js";
export default function Accounts() {
  return html`<h1>${t("nav.accounts")}</h1>`;
}
