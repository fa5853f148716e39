// One account: how it stands and why, what comes next, what a person can do, and what befell it.
import { html, useEffect, useSignal } from "../lib.js";
import { get, post } from "../api.js";
import { Band, Bars } from "../charts.js";
import { lastHour, records, success } from "../health.js";
import { percent, plural, span, t } from "../i18n.js";
import { account, adopt, back, gone, happened, phase, time } from "../live.js";
import { Line, Next, finding, folded, outcome, reason, remedy } from "../telling.js";
import { Age, Badge, Button, Empty, ErrorBox, For, Icon, Loading, Tag, Time, Until, confirm, says, toast } from "../ui.js";
import { Cookies } from "./cookies.js";

const DAY = 86_400;
const HISTORY = 200; // entries, as many as the gateway tells

export function Account({ id, query }) {
  const one = account(id);
  const past = usePast(id);
  if (!one) return html`<${Missing} id=${id} />`;
  return html`<${Back} />
    <${Head} one=${one} />
    <div class="pair">
      <div class="column">
        <${Cookies} one=${one} begin=${query.cookies === "1"} />
        <${Attempts} id=${id} />
        ${past.all && html`<${States} one=${one} all=${past.all} />`}
      </div>
      <${Facts} one=${one} />
    </div>
    <section class="card"><header><h2>${t("account.history")}</h2></header>
      ${past.error ? html`<${ErrorBox} error=${past.error} retry=${past.again} />` : !past.all ? html`<${Loading} />` : past.all.length === 0 ? html`<${Empty} title=${t("lately.empty")} />`
        : html`<ol class="log">${folded(past.all.slice(0, HISTORY)).map((entry) => html`<${Line} key=${key(entry)} entry=${entry} account=${false} />`)}</ol>`}</section>`;
}

const Back = () => html`<p><a class="plainlink" href="#/accounts"><${Icon} name="back" /> ${t("account.all")}</a></p>`;

function Missing({ id }) {
  const was = gone.value.has(id);
  return html`<${Back} /><h1>${id}</h1><div class="banner warn" role="alert"><${Icon} name="warn" />
    <span><span class="strong">${t(was ? "account.gone" : "account.unknown", { id })}</span> ${t(was ? "account.gone.next" : "account.unknown.next")}</span></div>`;
}

function Head({ one }) {
  const busy = useSignal("");
  const why = reason(one);
  const help = remedy(one);

  async function act(what, question) {
    if (busy.value || (question && !(await confirm(question)))) return;
    busy.value = what;
    try {
      const checked = await post(`/admin/api/accounts/${encodeURIComponent(one.id)}/${what}`);
      adopt(checked.account);
      const [text, tone] = result(one.id, what, checked);
      toast(text, tone);
    } catch (failure) {
      if (failure.status !== 401) toast(failure.status === 404 ? t("account.gone", { id: one.id }) : says(failure), "bad");
    } finally {
      busy.value = "";
    }
  }

  const off = one.state === "disabled";
  return html`<section class=${`card head edge-${one.state}`}>
    <p class="row"><h1>${one.id}</h1> <${Badge} state=${one.state} /><span class="dim"><${For} at=${one.since} /></span></p>
    <p class="sentence" role="status">${why || t(`account.says.${one.state}`)}</p>
    <p><span class="dim">${t("ill.next")}</span> <${Next} one=${one} />${help ? html` <span class="dim">·</span> ${help}` : null}</p>
    ${one.resting.map((rest) => html`<p key=${rest.model}><${Tag} kind="warn">${rest.model}</> ${t("account.rests", { reason: outcome(rest.reason) })} <${Until} at=${rest.until} /></p>`)}
    <div class="row actions">
      <${Button} icon="good" busy=${busy.value === "probe"} onClick=${() => act("probe")}>${t("do.probe")}</>
      ${(one.state === "cooling" || one.resting.length > 0) && html`<${Button} busy=${busy.value === "clear"} onClick=${() => act("clear")}>${t("do.clear")}</>`}
      ${off
        ? one.reason !== "by configuration" && html`<${Button} kind="main" busy=${busy.value === "enable"} onClick=${() => act("enable")}>${t("do.enable")}</>`
        : html`<${Button} busy=${busy.value === "disable"}
            onClick=${() => act("disable", { title: t("ask.disable", { id: one.id }), body: t("ask.disable.body"), action: t("do.disable"), danger: true })}>${t("do.disable")}</>`}
    </div>
  </section>`;
}

function result(id, what, checked) {
  if (what !== "probe") return [t(`done.${what}`, { id }), "good"];
  if (checked.outcome === "well") return [t("done.probe.well", { id }), "good"];
  return [t("done.probe.ill", { id, outcome: finding(checked.outcome, checked.detail) }), "bad"];
}

function Facts({ one }) {
  const record = records.value.get(one.id);
  const share = success(record);
  const fact = (word, value) => html`<div><dt>${word}</dt><dd>${value}</dd></div>`;
  const when = (at, word) => html`<${Time} at=${at} />${word ? html` <${Tag} kind=${word === "well" || word === "ok" ? "good" : "warn"}>${outcome(word)}</>` : null}`;
  return html`<section class="card"><header><h2>${t("facts.title")}</h2></header><dl class="facts">
    ${fact(t("facts.order"), one.order ? (one.order === 1 ? t("facts.order.first") : one.order) : t("facts.order.none"))}
    ${fact(t("facts.flight"), `${one.in_flight} / ${one.max_concurrency}`)}
    ${fact(t("facts.used"), html`<${Time} at=${one.last_used} />`)}
    ${fact(t("facts.success"), share === null ? "–" : html`${percent(share)} <span class="dim">${plural("col.asked", record.asked)}</span>`)}
    ${fact(t("facts.throttled"), record ? record.throttled : 0)}
    ${one.failures > 0 && fact(t("facts.failures"), one.failures)}
    ${fact(t("facts.cookies"), html`<${Age} at=${one.cookies_at} /> <span class="dim">${t("facts.source")} ${t(`source.${one.cookie_source || "unknown"}`)}</span>`)}
    ${fact(t("facts.rotation"), html`${when(one.rotation_at, one.rotation_outcome)}${one.next_rotation !== null && html`<span class="dim"> · ${t("facts.then")} <${Until} at=${one.next_rotation} /></span>`}`)}
    ${fact(t("facts.probe"), html`${when(one.probed_at, one.probe_outcome)}${one.next_probe !== null && html`<span class="dim"> · ${t("facts.then")} <${Until} at=${one.next_probe} /></span>`}`)}
    ${fact(t("facts.proved"), html`<${Time} at=${one.proved_at} />`)}
    ${fact(t("facts.egress"), html`<span class="mono">${one.egress === "direct" || !one.egress ? t("facts.direct") : one.egress}</span>`)}
    ${fact(t("facts.spacing"), span(one.min_interval))}
    ${one.tags.length > 0 && fact(t("facts.tags"), one.tags.map((tag) => html`<${Tag} key=${tag}>${tag}</> `))}
    ${fact(t("facts.models"), html`<span class="mono">${one.models.join(", ") || "–"}</span>`)}
    ${one.last_resort && fact(t("col.last"), t("col.last.long"))}
  </dl></section>`;
}

/** What was, from the store, and what happens while one looks, from the live events: {all, error, again}. */
function usePast(id) {
  const history = useSignal(null);
  const error = useSignal(null);
  const tries = useSignal(0);
  useEffect(() => {
    const stop = new AbortController();
    error.value = null;
    get(`/admin/api/accounts/${encodeURIComponent(id)}`, { signal: stop.signal })
      .then((found) => (history.value = found.history))
      .catch((failure) => {
        if (!failure.aborted && phase.value === "open") error.value = failure;
      });
    return () => stop.abort();
  }, [id, tries.value, back.value]);
  const known = new Set((history.value || []).map(key));
  const all = history.value && [...happened.value.filter((entry) => entry.account === id && !known.has(key(entry))), ...history.value].sort((a, b) => b.at - a.at);
  return { all, error: error.value, again: () => (tries.value += 1) };
}

function Attempts({ id }) {
  const cells = (records.value.get(id) || { perMinute: [] }).perMinute;
  const minutes = lastHour.value.map((minute, i) => ({ start: minute.start, well: 0, failed: 0, cancelled: 0, ...cells[i] }));
  const kinds = [
    { key: "well", word: t("traffic.well"), tone: "good" },
    { key: "failed", word: t("traffic.failed"), tone: "bad" },
    { key: "cancelled", word: t("traffic.cancelled"), tone: "off" },
  ];
  return html`<section class="card"><${Bars} title=${t("account.attempts")} note=${t("chart.hour")} minutes=${minutes} kinds=${kinds} /></section>`;
}

const key = (entry) => `${entry.at} ${entry.kind} ${entry.outcome} ${entry.after}`;

function States({ one, all }) {
  const until = Math.ceil(time.value / 5) * 5; // it is drawn anew every five seconds
  const { stretches, since } = stretchesOf(one, all, until);
  const total = {};
  for (const stretch of stretches) total[stretch.state] = (total[stretch.state] || 0) + stretch.to - stretch.from;
  const words = Object.entries(total).sort((a, b) => b[1] - a[1]);
  const said = words.map(([state, seconds]) => `${t(`state.${state}`)} ${percent(seconds / (until - since))}`).join(", ");
  return html`<section class="card"><header><h2>${t("account.states")}</h2><span class="dim">${t("account.states.note", { span: span(until - since) })}</span></header>
    <${Band} stretches=${stretches} since=${since} until=${until} label=${said} />
    <p class="row keys" aria-hidden="true">${words.map(([state, seconds]) => html`<span key=${state} class=${`badge state-${state}`}><${Icon} name=${state} /> ${t(`state.${state}`)} ${percent(seconds / (until - since))}</span>`)}</p></section>`;
}

/** The last day at most, and not more than is known. */
function stretchesOf(one, all, until) {
  const changes = all.filter((entry) => entry.kind === "state" && entry.at < until).sort((a, b) => a.at - b.at);
  const begin = changes.length ? changes[0].at : one.since === null ? until - 3600 : Math.min(one.since, until);
  const since = Math.max(until - DAY, Math.min(begin, until - 60));
  let state = changes.length ? changes[0].before || changes[0].after : one.state;
  let from = Math.max(since, begin);
  const stretches = [];
  for (const change of changes) {
    if (change.at > from) stretches.push({ state, from, to: Math.min(change.at, until) });
    from = Math.max(from, change.at);
    state = change.after;
  }
  stretches.push({ state, from, to: Math.max(until, from) });
  return { stretches, since };
}

