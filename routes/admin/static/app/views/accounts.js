// All accounts; and, where the hash names one, that one (views/account.js).
//
// A table where there is room, cards where there is none. Search, state and order stand in the hash, so that they survive a
// reload and can be linked to.
import { html, signal, useSignal } from "../lib.js";
import { number, percent, plural, t } from "../i18n.js";
import { SEVERITY, records, success } from "../health.js";
import { accounts } from "../live.js";
import { go, href } from "../router.js";
import { Next, reason } from "../telling.js";
import { Age, Badge, Button, Empty, For, Icon, Until } from "../ui.js";
import { Account } from "./account.js";

const ROWS = 100; // at first; the ill ones are among them, and a search is quicker than a long thumb
const CARDS = 40;
const wide = signal(false);
const room = matchMedia("(min-width: 1080px)");
room.addEventListener("change", () => (wide.value = room.matches));
wide.value = room.matches;

const last = (value, none) => (value === null || value === undefined ? none : value);
const ORDERS = {
  state: (a, b) => (SEVERITY[a.state] ?? 9) - (SEVERITY[b.state] ?? 9),
  id: () => 0,
  order: (a, b) => (a.order || 1e9) - (b.order || 1e9),
  success: (a, b) => last(success(records.value.get(a.id)), 2) - last(success(records.value.get(b.id)), 2),
  throttled: (a, b) => throttled(b) - throttled(a),
  cookies: (a, b) => last(a.cookies_at, Infinity) - last(b.cookies_at, Infinity),
  next: (a, b) => last(a.next_at, Infinity) - last(b.next_at, Infinity),
};
const throttled = (one) => (records.value.get(one.id) || { throttled: 0 }).throttled;
const names = new Intl.Collator(undefined, { numeric: true });

export default function Accounts({ route }) {
  return route.parts[1] ? html`<${Account} key=${route.parts[1]} id=${route.parts[1]} query=${route.query} />` : html`<${List} query=${route.query} />`;
}

function List({ query }) {
  const more = useSignal(false);
  const all = accounts.value;
  const { state = "", sort = "state", q = "" } = query;
  const counts = {};
  for (const one of all) counts[one.state] = (counts[one.state] || 0) + 1;
  const ill = (counts.quarantined || 0) + (counts.cooling || 0);
  const word = q.trim().toLowerCase();
  const found = all
    .filter((one) => (!state || (state === "ill" ? one.state === "quarantined" || one.state === "cooling" : one.state === state)) && (!word || matches(one, word)))
    .sort((a, b) => (ORDERS[sort] || ORDERS.state)(a, b) || names.compare(a.id, b.id));
  const set = (changed) => {
    const kept = Object.entries({ state, sort, q, ...changed }).filter(([key, value]) => value && !(key === "sort" && value === "state"));
    go(`/accounts${kept.length ? `?${new URLSearchParams(kept)}` : ""}`, { replace: true });
  };
  const states = Object.keys(SEVERITY).filter((one) => counts[one]);
  const choice = (value, label) => html`<button key=${value} type="button" class="choice" aria-pressed=${state === value ? "true" : "false"} onClick=${() => set({ state: value })}>${label}</button>`;
  const shown = more.value ? found : found.slice(0, wide.value ? ROWS : CARDS);
  return html`<h1>${t("nav.accounts")}</h1>
    ${all.length === 0
      ? html`<${Empty} title=${t("head.none")}>${t("head.none.next")}</>`
      : html`<div class="filters">
          <div class="choicebar" role="group" aria-label=${t("list.states")}>
            ${choice("", `${t("ui.all")} ${all.length}`)}
            ${ill > 0 && choice("ill", `${t("list.ill")} ${ill}`)}
            ${states.map((one) => choice(one, html`<span class=${`badge state-${one}`}><${Icon} name=${one} /> ${t(`state.${one}`)} ${counts[one]}</span>`))}
          </div>
          <label class="search"><span class="unseen">${t("list.search")}</span><${Icon} name="search" />
            <input type="search" value=${q} placeholder=${t("list.search")} onInput=${(event) => set({ q: event.target.value })} /></label>
          <label class="pick"><span class="dim">${t("list.sort")}</span>
            <select value=${sort} onChange=${(event) => set({ sort: event.target.value })}>
              ${Object.keys(ORDERS).map((one) => html`<option key=${one} value=${one}>${t(`list.sort.${one}`)}</option>`)}</select></label>
        </div>
        <p class="unseen" role="status">${plural("list.found", found.length)}</p>
        ${found.length === 0
          ? html`<${Empty} title=${t("list.nothing")}><${Button} onClick=${() => set({ state: "", q: "" })}>${t("list.reset")}</></>`
          : wide.value
            ? html`<${Table} found=${shown} />`
            : html`<ul class="cards">${shown.map((one) => html`<${Card} key=${one.id} one=${one} ...${figures(one)} />`)}</ul>`}
        ${found.length > shown.length && html`<${Button} onClick=${() => (more.value = true)}>${t("ui.more", { n: found.length - shown.length })}</>`}`}`;
}

const matches = (one, word) => [one.id, one.reason, one.egress, ...one.tags, ...one.models].some((text) => text.toLowerCase().includes(word));

/** As plain values, so that a row is drawn anew only where they differ. */
function figures(one) {
  const record = records.value.get(one.id);
  const share = success(record);
  return { share: share === null ? "–" : percent(share), low: share !== null && share < 0.95, asked: record ? record.asked : 0, limited: record ? record.throttled : 0 };
}

function Table({ found }) {
  const head = ["state", "account", "why", "next", "order", "flight", "success", "throttled", "cookies", "probe"];
  const numbers = new Set(["order", "flight", "success", "throttled", "cookies"]);
  return html`<div class="card table"><table>
    <caption class="unseen">${t("nav.accounts")}</caption>
    <thead><tr>${head.map((one) => html`<th key=${one} scope="col" class=${`col-${one} ${numbers.has(one) ? "number" : ""}`} title=${t(`col.${one}.long`)}>${t(`col.${one}`)}</th>`)}</tr></thead>
    <tbody>${found.map((one) => html`<${Row} key=${one.id} one=${one} ...${figures(one)} />`)}</tbody>
  </table></div>`;
}

function Row({ one, share, low, asked, limited }) {
  return html`<tr class=${`edge-${one.state}`}>
    <td><${Badge} state=${one.state} /></td>
    <th scope="row"><a href=${href("/accounts", one.id)}>${one.id}</a>${one.last_resort ? html` <span class="dim" title=${t("col.last.long")}>${t("col.last")}</span>` : null}</th>
    <td class="why">${reason(one)} <span class="dim"><${For} at=${one.since} /></span><${Resting} one=${one} /></td>
    <td class="next"><${Next} one=${one} /></td>
    <td class="number">${one.order || "–"}</td>
    <td class="number">${one.in_flight}<span class="dim"> / ${one.max_concurrency}</span></td>
    <td class=${`number ${low ? "bad" : ""}`} title=${plural("col.asked", asked)}>${share}</td>
    <td class=${`number ${limited ? "warn" : ""}`}>${number(limited)}</td>
    <td class="number"><${Age} at=${one.cookies_at} /></td>
    <td class="soon">${one.next_probe === null ? html`<span class="dim">–</span>` : html`<${Until} at=${one.next_probe} />`}</td>
  </tr>`;
}

function Card({ one, share, low, asked, limited }) {
  const why = reason(one);
  return html`<li class=${`card acct edge-${one.state}`}>
    <p class="row"><a class="strong cover" href=${href("/accounts", one.id)}>${one.id}</a><span class="grow" /><${Badge} state=${one.state} /></p>
    ${why && html`<p class="sentence">${why}</p>`}
    <p class="dim"><${For} at=${one.since} /> · <${Next} one=${one} /></p>
    <${Resting} one=${one} />
    <dl class="mini">
      <div><dt>${t("col.order")}</dt><dd>${one.order || "–"}</dd></div>
      <div><dt>${t("col.flight")}</dt><dd>${one.in_flight} / ${one.max_concurrency}</dd></div>
      <div title=${plural("col.asked", asked)}><dt>${t("col.success")}</dt><dd class=${low ? "bad" : ""}>${share}</dd></div>
      <div><dt>429</dt><dd class=${limited ? "warn" : ""}>${number(limited)}</dd></div>
      <div><dt>${t("col.cookies")}</dt><dd><${Age} at=${one.cookies_at} /></dd></div>
    </dl></li>`;
}

const Resting = ({ one }) =>
  one.resting.length ? html`<span class="rests">${one.resting.map((rest) => html`<span key=${rest.model} class="tag warn" title=${rest.reason}>${rest.model} <${Until} at=${rest.until} /></span>`)}</span>` : null;
