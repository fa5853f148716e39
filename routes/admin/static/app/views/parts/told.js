// An error of the gateway's, in its own words, and what a person can do about it.
//
//   <${Told} error=${Failure} id="req_…" retry=${fn} />   id: the request's, "" where there is none
import { html } from "../../lib.js";
import { Button, Icon } from "../../ui.js";
import { has, t } from "../../i18n.js";
import { href } from "../../router.js";

/** Where the remedy is, by the code of the error. */
const PLACES = {
  no_account_available: "/accounts",
  rate_limit_exceeded: "/accounts",
  upstream_failed: "/requests",
  deadline_exceeded: "/requests",
};
const WORDS = { "/accounts": "nav.accounts", "/requests": "nav.requests" };

export function Told({ error, id = "", retry }) {
  const ours = error.code === "unreachable" || error.code === "broken";
  const place = PLACES[error.code];
  return html`<div class="told" role="alert">
    <${Icon} name="warn" />
    <div class="stack tight">
      <p class="strong">${ours ? t(`told.${error.code}`) : error.message}</p>
      ${has(`told.do.${error.code}`) && html`<p>${t(`told.do.${error.code}`)}</p>`}
      <p class="row">
        ${retry && html`<${Button} onClick=${retry}>${t("ui.retry")}</>`}
        ${place === "/requests" && id ? html`<a href=${href(place, id)}>${t("play.details")}</a>` : place && html`<a href=${href(place)}>${t(WORDS[place])}</a>`}
        <span class="dim mono">${[error.code, error.status ? `HTTP ${error.status}` : "", id].filter(Boolean).join(" · ")}</span>
      </p>
    </div>
  </div>`;
}
