// #/requests: what was asked of the models lately, over all replicas, and how it came out; #/requests/ID: one of them, open.
import { html, signal, useEffect } from "../lib.js";
import { clockTime, fullTime, has, plural, seconds, t } from "../i18n.js";
import { link, served } from "../live.js";
import { go, href } from "../router.js";
import { Button, Empty, Loading, Tag } from "../ui.js";
import { CopyButton } from "./parts/copy.js";

const SHOWN = 50;
const MANY = 3; // accounts that a row has room for
const STAGES = ["queued", "upstream", "pictures", "own"];

const wanted = signal({ account: "", outcome: "", model: "" });
const held = signal(null); // what is shown while the list stands still
const most = signal(SHOWN);

const outcomeWord = (outcome) => (has(`outcome.${outcome}`) ? t(`outcome.${outcome}`) : outcome);
const kindOf = (outcome) => ({ ok: "good", cancelled: "note" })[outcome] ?? "bad";

export default function Requests({ route }) {
  const all = held.value ?? served.value;
  const one = route.parts[1];
  const found = one && served.value.find((each) => each.id === one);
  useEffect(() => () => (held.value = null), []);
  const now = wanted.value;
  const rows = all.filter(
    (each) =>
      (!now.account || each.asked.some((ask) => ask.account === now.account)) &&
      (!now.outcome || (now.outcome === "!ok" ? each.outcome !== "ok" : each.outcome === now.outcome)) &&
      (!now.model || each.model === now.model),
  );
  const filtered = Boolean(now.account || now.outcome || now.model);
  return html`<div class="stack">
    <header class="row spread"><h1>${t("nav.requests")}</h1>
      <${Button} kind="quiet" aria-pressed=${held.value ? "true" : "false"} icon=${held.value ? "run" : "hold"} onClick=${() => (held.value = held.value ? null : served.value)}>
        ${t(held.value ? "req.go" : "req.hold")}</></header>
    ${one && html`<${Single} id=${one} found=${found} />`}
    <${Filters} all=${served.value} />
    ${link.value === "connecting" && !all.length
      ? html`<${Loading} />`
      : !rows.length
        ? html`<div class="card"><${Empty} title=${t(filtered ? "req.none.such" : "req.none")}>${t(filtered ? "req.none.such.next" : "req.none.next")}</></div>`
        : html`<${Key} /><ul class="requests" aria-label=${t("nav.requests")}>${rows.slice(0, most.value).map((each) => html`<li key=${each.id + each.at}><${Row} one=${each} /></li>`)}</ul>`}
    <p class="row dim"><span>${plural("req.count", rows.length)} ${t("req.bound")}</span>
      ${rows.length > most.value && html`<${Button} onClick=${() => (most.value += SHOWN)}>${t("batch.more")}</>`}</p>
  </div>`;
}

function Filters({ all }) {
  const put = (name) => (event) => (wanted.value = { ...wanted.value, [name]: event.target.value });
  const choices = {
    account: [...new Set(all.flatMap((one) => one.asked.map((ask) => ask.account)))].sort(),
    outcome: [...new Set(all.map((one) => one.outcome))].sort(),
    model: [...new Set(all.map((one) => one.model))].sort(),
  };
  return html`<div class="filters" role="group" aria-label=${t("req.filter")}>
    ${["account", "outcome", "model"].map((name) => {
      const now = wanted.value[name];
      const offered = choices[name].includes(now) || !now || now === "!ok" ? choices[name] : [now, ...choices[name]];
      return html`<label key=${name}><span>${t(`req.${name}`)}</span><select value=${now} onChange=${put(name)}>
        <option value="">${t(`req.any.${name}`)}</option>
        ${name === "outcome" && html`<option value="!ok">${t("req.not.ok")}</option>`}
        ${offered.map((each) => html`<option key=${each} value=${each}>${name === "outcome" ? outcomeWord(each) : each}</option>`)}</select></label>`;
    })}
  </div>`;
}

/** What the colours of the bars mean. */
const Key = () => html`<p class="key" aria-hidden="true">${STAGES.map((name) => html`<span key=${name}><i class=${`stage ${name}`} /> ${t(`req.stage.${name}`)}</span>`)}</p>`;

function Single({ id, found }) {
  return html`<section class="card single"><header><h2>${t("req.one")}</h2><span class="grow" /><${Button} kind="quiet" icon="close" onClick=${() => go("/requests")}>${t("ui.close")}</></header>
    ${found
      ? html`<${Details} one=${found} />`
      : html`<p>${t("req.gone")}</p><p class="mono">${id}</p>`}</section>`;
}

/** Seconds by stage; what is left of the whole is the gateway's own. Pictures of one request are made side by side. */
function stagesOf(one) {
  const own = Math.max(0, one.seconds - one.queued - one.upstream - one.pictures);
  return { queued: one.queued, upstream: one.upstream, pictures: one.pictures, own };
}

function Bar({ one }) {
  const stages = stagesOf(one);
  const words = STAGES.filter((name) => stages[name] >= 0.0005).map((name) => `${t(`req.stage.${name}`)} ${seconds(stages[name])}`);
  return html`<span class="stages" role="img" aria-label=${words.join(", ") || t("req.instant")} title=${words.join("\n")}>
    ${STAGES.map((name) => stages[name] > 0 && html`<i key=${name} class=${`stage ${name}`} style=${{ flexGrow: stages[name] / (one.seconds || 1) + 0.001 }} />`)}</span>`;
}

/** The accounts in their order; of many the first and the last. */
function Tried({ one }) {
  const { asked } = one;
  if (!asked.length) return html`<span class="dim">${t("req.nobody")}</span>`;
  const left = asked.length > MANY ? asked.length - 2 : 0;
  const shown = left ? [asked[0], asked.at(-1)] : asked;
  return shown.map((ask, i) => html`${i ? html`<span class="dim"> → ${left ? html`${plural("req.more", left)} → ` : ""}</span>` : ""}<span
    class=${`tried ${kindOf(ask.outcome)}`}>${ask.account}${ask.outcome === "ok" ? "" : html` <small>${outcomeWord(ask.outcome)}</small>`}</span>`);
}

function Row({ one }) {
  return html`<details class="request">
    <summary>
      <time class="when" datetime=${new Date(one.at * 1000).toISOString()} title=${fullTime(one.at)}>${clockTime(one.at)}</time>
      <span class="what"><span class="mono">${one.route}</span><span class="dim">${one.model}</span></span>
      <span class="end"><${Tag} kind=${kindOf(one.outcome)}>${outcomeWord(one.outcome)}</></span>
      <span class="who"><${Tried} one=${one} /></span>
      <span class="bar"><${Bar} one=${one} /></span>
      <span class="took number">${seconds(one.seconds)}</span>
    </summary>
    <${Details} one=${one} />
  </details>`;
}

function Details({ one }) {
  const stages = stagesOf(one);
  const fact = (word, value, wide = "") => html`<div class=${wide}><dt>${t(word)}</dt><dd>${value}</dd></div>`;
  return html`<div class="details stack">
    <dl class="facts">
      ${fact("req.id", html`<span class="mono">${one.id}</span> <${CopyButton} text=${one.id} what=${t("play.copy.id")} bare />`, "wide")}
      ${fact("req.time", fullTime(one.at))}
      ${fact("req.route", html`<span class="mono">${one.route}</span>`)}
      ${fact("req.model", html`<span class="mono">${one.model}</span>`)}
      ${fact("req.outcome", html`<${Tag} kind=${kindOf(one.outcome)}>${outcomeWord(one.outcome)}</> <span class="mono dim">${one.outcome} · HTTP ${one.status}</span>`)}
      ${fact("req.caller", html`<span class="mono">${one.caller || "–"}</span>`)}
      ${fact("req.replica", html`<span class="mono">${one.replica || "–"}</span>`)}
      ${fact("req.total", seconds(one.seconds))}
      ${fact("req.first", seconds(one.first_content))}
      ${STAGES.map((name) => fact(`req.stage.${name}`, seconds(stages[name])))}
    </dl>
    ${one.asked.length > 0 && html`<div><p class="legend">${t("req.asked")}</p><ol class="askedlist">
      ${one.asked.map((ask, i) => html`<li key=${i} class="row"><span class="number dim">${i + 1}.</span> <a href=${href("/accounts", ask.account)}>${ask.account}</a>
        <${Tag} kind=${kindOf(ask.outcome)}>${outcomeWord(ask.outcome)}</> <span class="dim number">${seconds(ask.seconds)}</span></li>`)}</ol></div>`}
  </div>`;
}
