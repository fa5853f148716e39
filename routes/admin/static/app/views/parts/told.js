// An error of the gateway's, in its own words, and what a person can do about it.
//
//   named(failure)   its sentence, with the word that the person sees in place of the field's name
//   <${Told} error=${Failure} id="req_…" retry=${fn} />   id: the request's, "" where there is none
import { html } from "../../lib.js";
import { Button, Icon } from "../../ui.js";
import { has, lang, t } from "../../i18n.js";
import { href } from "../../router.js";

/** Where the remedy is, by the code of the error. */
const PLACES = {
  no_account_available: "/accounts",
  rate_limit_exceeded: "/accounts",
  upstream_failed: "/requests",
  deadline_exceeded: "/requests",
};
const WORDS = { "/accounts": "nav.accounts", "/requests": "nav.requests" };

const FIELDS = {
  image: "pics.input",
  prompt: "pics.prompt",
  size: "pics.size",
  aspect_ratio: "pics.shape",
  model: "play.model",
  prompts: "batch.prompts.label",
  concurrency: "batch.concurrency",
};

export const named = ({ message, param = "" }) =>
  message.replace(/'(\w+)(\[\d+\])?'/g, (whole, name, at = "") => (param === name + at && name in FIELDS ? `“${t(FIELDS[name])}”` : whole));

export function Told({ error, id = "", retry }) {
  const ours = error.code === "unreachable" || error.code === "broken";
  const place = PLACES[error.code];
  const word = !ours && lang.value !== "en" && has(`outcome.${error.code}`) && t(`outcome.${error.code}`);
  return html`<div class="told" role="alert">
    <${Icon} name="warn" />
    <div class="stack tight">
      <p class="strong">${ours ? t(`told.${error.code}`) : word || named(error)}</p>
      ${word && html`<p lang="en">${named(error)}</p>`}
      ${has(`told.do.${error.code}`) && html`<p>${t(`told.do.${error.code}`)}</p>`}
      <p class="row">
        ${retry && html`<${Button} onClick=${retry}>${t("ui.retry")}</>`}
        ${place === "/requests" && id ? html`<a href=${href(place, id)}>${t("play.details")}</a>` : place && html`<a href=${href(place)}>${t(WORDS[place])}</a>`}
        <span class="dim mono">${[error.code, error.status ? `HTTP ${error.status}` : "", id].filter(Boolean).join(" · ")}</span>
      </p>
    </div>
  </div>`;
}
