// New cookies of an account: what a browser's exporter wrote, or the two values. What was pasted is sent once and taken out of
// the page at once, whatever comes of it.
import { html, useEffect, useRef, useSignal } from "../lib.js";
import { post } from "../api.js";
import { lang, t } from "../i18n.js";
import { finding } from "../telling.js";
import { Button, Field, Icon, says } from "../ui.js";

const FINE = { param: "", empty: false, refused: "" };

export function Cookies({ one, begin }) {
  const open = useSignal(begin || one.reason === "expired");
  const form = useRef(null);
  const values = useSignal(false);
  const busy = useSignal(false);
  const error = useSignal(FINE);
  const found = useSignal(null); // {tone, text}
  useEffect(() => {
    if (begin && form.current) form.current.querySelector("textarea, input").focus();
  }, []);
  useEffect(() => {
    if (one.reason === "expired") open.value = true;
  }, [one.reason]);
  useEffect(() => {
    if (one.state !== "active") return;
    error.value = FINE; // what was refused is over once the account is well
    if (found.value?.tone === "bad") found.value = null;
  }, [one.state]);

  async function hand(event) {
    event.preventDefault();
    if (busy.value) return;
    const given = Object.fromEntries(new FormData(form.current));
    error.value = FINE;
    found.value = null;
    const first = values.value ? "secure_1psid" : "cookies";
    if (!given[first].trim()) {
      error.value = { param: first, empty: true };
      return;
    }
    busy.value = true;
    form.current.reset();
    try {
      found.value = verdict(await post("/api/cookies", { account: one.id, ...given }));
    } catch (failure) {
      const at = failure.param && failure.param.split(".")[0];
      if (at === "account") found.value = { tone: "bad", text: t("account.gone", { id: one.id }) };
      else if (failure.status === 400) error.value = { param: ["secure_1psid", "secure_1psidts", "cookies"].includes(at) && given[at] !== undefined ? at : first, refused: failure.message };
      else if (failure.status !== 401) found.value = { tone: "bad", text: says(failure) };
    } finally {
      busy.value = false;
    }
  }

  const wrong = (name) => error.value.param === name && (error.value.empty ? t(`cookies.${name}.empty`) : html`<${Refused} told=${error.value.refused} />`);
  const area = { spellcheck: false, autocomplete: "off", autocapitalize: "off" };
  const way = (wanted, word) => html`<button type="button" class="choice" aria-pressed=${values.value === wanted ? "true" : "false"}
    onClick=${() => {
      values.value = wanted;
      error.value = FINE;
    }}>${word}</button>`;
  return html`<section class="card cookies" aria-labelledby="cookies-title">
    <header><h2 id="cookies-title">${t("cookies.title")}</h2><span class="grow" />
      ${!open.value && html`<${Button} icon="key" onClick=${() => (open.value = true)}>${t("cookies.open")}</>`}</header>
    <div role="status" aria-live="polite">${found.value && html`<p class=${`banner ${found.value.tone}`}><${Icon} name=${found.value.tone === "good" ? "good" : "warn"} /><span>${found.value.text}</span></p>`}</div>
    ${!open.value && html`<p class="dim">${t("cookies.why")}</p>`}
    ${open.value && html`<form ref=${form} onSubmit=${hand} autocomplete="off" novalidate>
      <div class="choicebar" role="group" aria-label=${t("cookies.way")}>${way(false, t("cookies.way.export"))}${way(true, t("cookies.way.values"))}</div>
      ${values.value
        ? html`<${Field} key="a" label="__Secure-1PSID" error=${wrong("secure_1psid")}>${(props) => html`<input ...${props} ...${area} type="password" name="secure_1psid" />`}</>
          <${Field} key="b" label="__Secure-1PSIDTS" hint=${t("cookies.ts.hint")} error=${wrong("secure_1psidts")}>${(props) => html`<input ...${props} ...${area} type="password" name="secure_1psidts" />`}</>`
        : html`<${Field} key="c" label=${t("cookies.paste")} hint=${t("cookies.paste.hint")} error=${wrong("cookies")}>${(props) => html`<textarea ...${props} ...${area} name="cookies" rows="5" />`}</>`}
      <div class="row"><${Button} kind="main" type="submit" icon="key" busy=${busy.value}>${busy.value ? t("cookies.trying") : t("cookies.go")}</>
        <span class="hint">${t("cookies.safe")}</span></div>
    </form>`}
  </section>`;
}

/** Why a paste is refused, by what is recognisable in the gateway's words. */
const REFUSALS = [
  ["taken", /belongs to the account/],
  ["several", /of several accounts/],
  ["expired", /has expired on/],
  ["signedout", /1PSID is (missing|empty)|PSIDTS is there/],
  ["elsewhere", /not (of|for) google\.com/],
  ["damaged", /broken|seven fields|lacks `name`|no such cookie/],
  ["empty", /no cookie in the export|export is empty/],
  ["format", /none of the formats|no list of cookies/],
  ["long", /longer than|larger than/],
];

function Refused({ told }) {
  const [why] = REFUSALS.find(([, sign]) => sign.test(told)) || ["other"];
  return html`${t(`cookies.no.${why}`)} ${t("cookies.again")}${(lang.value === "en" || why === "other") && html`<small lang="en">${plain(told)}</small>`}`;
}

/** The gateway's words without the names of its interface's fields. */
const plain = (told) => told.replace(/^'\w+' cannot be used: /, "").replace(/, or an exporter's 'cookies'/, "").replace(/'(cookies|secure_1psidt?s?)'/g, "it");

function verdict(told) {
  if (told.probe === "well") return { tone: "good", text: t("cookies.well", { account: told.account }) };
  if (told.kept) return { tone: "warn", text: t("cookies.unsure", { detail: finding(told.probe, told.detail) }) };
  return { tone: "bad", text: t("cookies.refused", { outcome: finding(told.probe, told.detail) }) };
}
