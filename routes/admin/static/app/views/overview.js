// The first look: what is ill, since when, why and what comes next; then how the last hour went.
import { html, useComputed } from "../lib.js";
import { number, own, percent, plural, seconds, t } from "../i18n.js";
import { Bars, Lanes, Lines } from "../charts.js";
import { SEVERITY, lastHour, merged, quantile, ranked } from "../health.js";
import { accounts, happened, now, served, time } from "../live.js";
import { href } from "../router.js";
import { Line, Next, folded, outcome, reason, remedy } from "../telling.js";
import { Age, Badge, Empty, For, Icon, Tag, Time } from "../ui.js";

const LANES = 20; // accounts in the picture of who served when
const MARKS = 90; // attempts in it: more, and the stairs become a wall
const CARDS = 6; // ill accounts that are told at length
const LISTED = 500; // requests that the page keeps at most
const CHIPS = 40; // accounts that are shown by name in the strip

export default function Overview() {
  if (!now.value) return null;
  const all = accounts.value;
  const ill = ranked(all);
  return html`<h1 class="unseen">${t("nav.overview")}</h1>
    <${Headline} all=${all} ill=${ill} now=${now.value} />
    <${Notices} now=${now.value} />
    ${ill.length > 0 && html`<ul class="ills" aria-label=${t("overview.ill")}>
      ${ill.slice(0, CARDS).map((one) => html`<${Ill} key=${one.id} one=${one} />`)}</ul>
      ${ill.length > CARDS && html`<p><a href="#/accounts?state=ill">${plural("overview.more", ill.length - CARDS)}</a></p>`}`}
    ${all.length > 0 && html`<${Strip} all=${all} />`}
    <${Figures} />
    <div class="pair"><${Traffic} /><${Latency} /></div>
    ${all.length > 0 && html`<${Staircase} /><div class="pair"><${Ages} /><${Lately} /></div>`}
    <${Running} now=${now.value} />`;
}

function Headline({ all, ill, now: stand }) {
  const { tone, title, body } = verdict(all, ill, stand);
  return html`<section class=${`headline ${tone}`} role="status" aria-live="polite" aria-label=${t("overview.headline")}>
    <${Icon} name=${tone === "good" ? "active" : tone === "bad" ? "quarantined" : tone === "warn" ? "cooling" : "note"} size=${30} />
    <div><p class="say">${title}</p>${body && html`<p>${body}</p>`}</div></section>`;
}

/** The one sentence, and the one below it. Times that count stand in the cards below, so that a screen reader is not told each second. */
function verdict(all, ill, stand) {
  const out = ill.filter((one) => one.state === "quarantined");
  const resting = ill.filter((one) => one.state === "cooling");
  const active = all.filter((one) => one.state === "active").length;
  const idle = all.filter((one) => one.state === "disabled").length;
  if (!stand.store_ok) return { tone: "bad", title: t("head.store"), body: t("head.store.next") };
  // Where accounts are out or rest, that is said first; the notice below tells of the file in any case.
  const broken = Object.keys(stand.broken_files || {})[0];
  if (broken && !ill.length && (stand.ready || !all.length)) return { tone: "bad", title: t("head.broken", { path: broken }), body: others(active) };
  if (!all.length) return { tone: "note", title: t("head.none"), body: t("head.none.next") };
  if (!stand.ready) return { tone: "bad", title: t("head.down"), body: own(stand.why, "head.down.next") || t("head.down.next") };
  if (out.length === 1) return { tone: "bad", title: t("head.out.one", { id: out[0].id, reason: reason(out[0]) }), body: others(active) };
  if (out.length) return { tone: "bad", title: t("head.out.other", { n: out.length, all: all.length }), body: others(active) };
  if (resting.length === 1) return { tone: "warn", title: t("head.rest.one", { id: resting[0].id, reason: reason(resting[0]) }), body: others(active) };
  if (resting.length) return { tone: "warn", title: t("head.rest.other", { n: resting.length, all: all.length }), body: others(active) };
  if (active === all.length) return { tone: "good", title: plural("head.well", active), body: "" };
  if (active) return { tone: "good", title: plural("head.well", active), body: idle ? plural("head.idle", idle) : t("head.starting") };
  return { tone: "note", title: t("head.starting"), body: "" };
}

const others = (active) => (active ? plural("head.others", active) : t("head.nobody"));

function Notices({ now: stand }) {
  const broken = Object.entries(stand.broken_files || {});
  return html`${broken.map(([path, what]) => html`<p key=${path} class="banner bad" role="alert"><${Icon} name="warn" />
      <span><span class="strong">${t("notice.broken", { path })}</span> ${what} ${t("notice.broken.next")}</span></p>`)}
    ${!stand.leader && stand.store_ok && html`<p class="banner warn"><${Icon} name="warn" /><span>${t("notice.leader")}</span></p>`}
    ${stand.alerts_pending > 0 && html`<p class="banner warn"><${Icon} name="warn" /><span>${plural("notice.alerts", stand.alerts_pending)}</span></p>`}`;
}

function Ill({ one }) {
  const help = remedy(one);
  return html`<li class=${`ill edge-${one.state}`}>
    <p class="row"><a class="strong" href=${href("/accounts", one.id)}>${one.id}</a> <${Badge} state=${one.state} />
      <span class="dim"><${For} at=${one.since} /></span></p>
    <p class="sentence">${reason(one)}</p>
    <p><span class="dim">${t("ill.next")}</span> <${Next} one=${one} />${help ? html` <span class="dim">·</span> ${help}` : null}</p>
    ${one.reason === "expired" && html`<p><a class="button" href=${`${href("/accounts", one.id)}?cookies=1`}>${t("ill.cookies")}</a></p>`}
  </li>`;
}

function Strip({ all }) {
  const sorted = [...all].sort((a, b) => (SEVERITY[a.state] ?? 9) - (SEVERITY[b.state] ?? 9) || (a.order || 1e9) - (b.order || 1e9));
  const groups = Object.entries(Object.groupBy ? Object.groupBy(sorted, (one) => one.state) : grouped(sorted));
  const small = all.length > CHIPS;
  return html`<section class="card"><header><h2>${t("nav.accounts")}</h2>
      ${groups.map(([state, list]) => html`<a key=${state} class="plainlink" href=${`#/accounts?state=${state}`}><span class=${`badge state-${state}`}><${Icon} name=${state} /> ${list.length} ${t(`state.${state}`)}</span></a>`)}
      <span class="grow" /><a href="#/accounts">${t("overview.table")}</a></header>
    <ul class="chips">
      ${(small ? sorted.filter((one) => one.state !== "active").slice(0, CHIPS) : sorted).map((one) => html`<li key=${one.id}><a class=${`chip state-${one.state}`} href=${href("/accounts", one.id)}>
        <${Icon} name=${one.state} /><span class="id" title=${one.id}>${one.id}</span><span class="unseen">, ${t(`state.${one.state}`)}</span>${one.order === 1 ? html`<${Tag}>${t("overview.first")}</>` : null}</a></li>`)}
      ${small && html`<li class="dots state-active" aria-hidden="true">${sorted.filter((one) => one.state === "active").map((one) => html`<i key=${one.id} title=${one.id} />`)}</li>`}
    </ul></section>`;
}

function grouped(list) {
  const found = {};
  for (const one of list) (found[one.state] ||= []).push(one);
  return found;
}

function Figures() {
  const hour = lastHour.value;
  const sum = (key) => hour.reduce((n, one) => n + one[key], 0);
  const [well, failed, limited, throttled] = ["well", "failed", "limited", "throttled"].map(sum);
  const first = merged(hour.map((one) => one.first_content));
  const whole = merged(hour.map((one) => one.seconds));
  const stand = now.value;
  const rate = lastMinute(hour, stand.time);
  return html`<dl class="figures">
    <${Figure} word=${t("fig.rate")} value=${number(rate)} more=${t("fig.rate.more", { n: number(sum("total")) })} />
    <${Figure} word=${t("fig.success")} value=${well + failed ? percent(well / (well + failed)) : "–"} tone=${failed ? "warn" : ""} more=${failed ? plural("fig.success.failed", failed) : t("fig.success.none")} />
    <${Figure} word=${t("fig.first")} value=${seconds(firstWithin(first, whole, 0.5))} more=${t("fig.p95", { value: seconds(firstWithin(first, whole, 0.95)) })} />
    <${Figure} word=${t("fig.whole")} value=${seconds(quantile(whole, 0.5))} more=${t("fig.p95", { value: seconds(quantile(whole, 0.95)) })} />
    <${Figure} word=${t("fig.throttled")} value=${number(throttled)} tone=${throttled ? "warn" : ""} more=${t("fig.throttled.more", { n: number(limited) })} />
    <${Figure} word=${t("fig.use")} value=${`${stand.in_flight} / ${stand.capacity}`} tone=${stand.waiting ? "warn" : ""} more=${stand.waiting ? plural("fig.use.waiting", stand.waiting) : t("fig.use.none")} />
    <${Figure} word=${html`<a href="#/batches">${t("fig.batches")}</a>`} value=${number(stand.batches_open)} more=${stand.tasks_running + stand.tasks_waiting === 0 ? t("fig.batches.none") : t("fig.batches.more", { running: number(stand.tasks_running), waiting: number(stand.tasks_waiting) })} />
  </dl>`;
}

/** Requests of the last sixty seconds: counted where the list of requests reaches so far, else reckoned from its two minutes. */
function lastMinute(hour, time) {
  const all = served.value;
  const recent = all.filter((one) => one.at > time - 60).length;
  if (recent < all.length || all.length < LISTED) return recent;
  return Math.round(hour[59].total + hour[58].total * (1 - (time % 60) / 60));
}

/** An answer that comes in one piece has no first content of its own: it has it with the whole. So a share of first contents is
    never there later than the same share of whole answers. */
function firstWithin(first, whole, q) {
  const [a, b] = [quantile(first, q), quantile(whole, q)];
  return a === null || b === null ? a : Math.min(a, b);
}

const Figure = ({ word, value, more, tone = "" }) =>
  html`<div class=${`figure ${tone}`}><dt>${word}</dt><dd><span class="value">${value}</span> <span class="dim">${more}</span></dd></div>`;

function Traffic() {
  const kinds = [
    { key: "well", word: t("traffic.well"), tone: "good" },
    { key: "limited", word: t("traffic.limited"), tone: "warn" },
    { key: "failed", word: t("traffic.failed"), tone: "bad" },
    { key: "other", word: t("traffic.other"), tone: "off" },
  ];
  const rows = lastHour.value.map((one) => ({ ...one, other: one.cancelled + one.refused }));
  return html`<section class="card"><${Bars} title=${t("traffic.title")} note=${t("chart.hour")} minutes=${rows} kinds=${kinds} /></section>`;
}

function Latency() {
  const hour = lastHour.value;
  // One minute holds few answers: each point is of the five minutes that end there.
  const over = (minutes, of) => of(merged(minutes.map((one) => one.first_content)), merged(minutes.map((one) => one.seconds)));
  const line = (of, word, tone) => ({ word, tone, whole: over(hour, of), values: hour.map((_, i) => over(hour.slice(Math.max(0, i - 4), i + 1), of)) });
  const series = [
    line((first, whole) => firstWithin(first, whole, 0.5), t("latency.first"), "a"),
    line((_, whole) => quantile(whole, 0.5), t("latency.half"), "b"),
    line((_, whole) => quantile(whole, 0.95), t("latency.slow"), "warn"),
  ];
  return html`<section class="card"><${Lines} title=${t("latency.title")} note=${t("chart.hour")} minutes=${hour} series=${series} format=${seconds} /></section>`;
}

/** Least recently used means that the dots climb like a staircase; a lane without dots is an account that is left out. */
function Staircase() {
  const rows = useComputed(() => {
    const until = now.value ? now.value.time : 0;
    const by = new Map();
    let since = until;
    let total = 0;
    for (const one of served.value) {
      if (one.at < until - 900 || total > MARKS) break;
      since = one.at;
      one.asked.forEach((asked, i) => {
        if (!by.has(asked.account)) by.set(asked.account, []);
        const tone = asked.outcome === "ok" ? "good" : asked.outcome === "cancelled" ? "off" : "bad";
        by.get(asked.account).push({ key: `${one.id}-${i}`, at: one.at, tone, title: outcome(asked.outcome) });
        total += 1;
      });
    }
    since = Math.min(since, until - 60);
    const shown = [...accounts.value].sort((a, b) => (by.get(b.id) || []).length - (by.get(a.id) || []).length).slice(0, LANES);
    const ids = new Set(shown.map((one) => one.id));
    return {
      since,
      until,
      total,
      rows: accounts.value.filter((one) => ids.has(one.id)).map((one) => ({ id: one.id, href: href("/accounts", one.id), marks: by.get(one.id) || [], total: (by.get(one.id) || []).length })),
    };
  });
  const found = rows.value;
  return html`<section class="card"><header><h2>${t("stairs.title")}</h2><span class="dim">${t("stairs.note")}</span></header>
    ${found.total ? html`<${Lanes} label=${t("stairs.title")} ...${found} />` : html`<${Empty} title=${t("stairs.empty")}>${t("stairs.empty.next")}</>`}</section>`;
}

function Ages() {
  const aged = accounts.value.filter((one) => one.cookies_at !== null).sort((a, b) => a.cookies_at - b.cookies_at).slice(0, 8);
  const at = Math.floor(time.value / 10) * 10;
  const most = aged.length ? Math.max(60, at - aged[0].cookies_at) : 1;
  return html`<section class="card"><header><h2>${t("ages.title")}</h2><span class="dim">${t("ages.note")}</span></header>
    ${aged.length ? html`<ul class="ages">${aged.map((one) => html`<li key=${one.id}>
        <a href=${href("/accounts", one.id)} title=${one.id}>${one.id}</a>
        <span class="bar" aria-hidden="true"><i style=${{ width: `${Math.max(1, ((at - one.cookies_at) / most) * 100).toFixed(1)}%` }} /></span>
        <span class="number"><${Age} at=${one.cookies_at} /></span></li>`)}</ul>` : html`<${Empty} title=${t("ages.empty")} />`}</section>`;
}

function Lately() {
  const told = folded(happened.value.filter((one) => one.kind !== "probe" && one.kind !== "rotation")).slice(0, 8);
  return html`<section class="card"><header><h2>${t("lately.title")}</h2><span class="grow" /><a href="#/events">${t("lately.all")}</a></header>
    ${told.length ? html`<ol class="log">${told.map((entry) => html`<${Line} key=${`${entry.at}${entry.account}${entry.kind}`} entry=${entry} />`)}</ol>` : html`<${Empty} title=${t("lately.empty")} />`}</section>`;
}

function Running({ now: stand }) {
  const fact = (word, value) => html`<div><dt>${word}</dt><dd>${value}</dd></div>`;
  return html`<section class="card"><header><h2>${t("run.title")}</h2></header><dl class="facts">
    ${fact(t("run.store"), stand.store_ok ? html`<${Tag} kind="good">${t("run.store.ok")}</>` : html`<${Tag} kind="bad">${t("run.store.away")}</>`)}
    ${fact(t("run.replicas"), number(stand.replicas))}
    ${fact(t("run.leader"), stand.leader ? html`<span class="mono">${stand.leader}</span>` : html`<${Tag} kind="warn">${t("run.nobody")}</>`)}
    ${fact(t("run.this"), html`<span class="mono">${stand.replica}</span>`)}
    ${fact(t("run.alerts"), stand.alerts_configured ? html`<${Tag} kind="good">${t("run.alerts.on")}</>` : html`<${Tag} kind="warn">${t("run.alerts.off")}</>`)}
    ${fact(t("run.version"), stand.version)}
    ${fact(t("run.started"), html`<${Time} at=${stand.started} />`)}
  </dl></section>`;
}

