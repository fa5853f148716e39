// What the numbers and words of the gateway mean, as sentences.
//
//   outcome(word)          of a probe, an attempt, a rotation, in the person's language
//   finding(word, sentence)   the same with what the gateway's sentence adds, for a probe: to who does not read English its number
//                          alone, where the word has a translation
//   reason(account)        why it is as it is, '' where there is nothing to tell; a part of a sentence, without a full stop
//   remedy(account)        what a person can do, '' where there is nothing
//   <${Next} one />        what happens to the account next, with its countdown
//   folded(entries)        runs of the same account, kind and outcome as one entry each, with `times` and `first` (seconds);
//                          entries come newest first
//   <${Line} entry account={shown} />   a happening, or a run of them, as a sentence; account: whether to name the account
import { html } from "./lib.js";
import { clockTime, dayTime, fullTime, has, lang, number, t } from "./i18n.js";
import { now } from "./live.js";
import { href } from "./router.js";
import { Badge, Tag, Until } from "./ui.js";

export const outcome = (word) => (has(`outcome.${word}`) ? t(`outcome.${word}`) : word.replaceAll("_", " "));

/** What a sentence of the gateway's names by number. */
const NUMBERS = [
  ["http", /\bHTTP (?:status )?(\d{3})\b/],
  ["code", /\berror code (\d+)/],
  ["curl", /\bcurl error (\d+)/],
  ["status", /\bstatus (\d+)/],
];

function added(word, sentence) {
  if (!sentence || lang.value === "en" || !has(`outcome.${word}`)) return sentence;
  const [name, sign] = NUMBERS.find(([, each]) => each.test(sentence)) || [];
  return name ? t(`number.${name}`, { n: sign.exec(sentence)[1] }) : "";
}

export const finding = (word, sentence) => [outcome(word), added(word, sentence)].filter(Boolean).join(lang.value === "zh" ? "，" : ": ");

export function reason(one) {
  if (one.state === "active") return one.last_resort ? t("reason.last_resort") : "";
  if (!one.reason && !one.why) return "";
  if (has(`reason.${one.reason}`)) return t(`reason.${one.reason}`);
  return (one.why || one.reason.replaceAll("_", " ")).replace(/[.。]$/, "");
}

export const remedy = (one) => (one.state !== "active" && has(`remedy.${one.reason}`) ? t(`remedy.${one.reason}`) : "");

export function Next({ one }) {
  const ill = one.state === "quarantined";
  const set = { disabled: one.reason === "by configuration" ? "next.file" : "next.enable", draining: "next.leave" };
  const keys = {
    probe: ill ? "next.reprobe" : "next.probe",
    rotation: "next.rotation",
    return: "next.return",
    open: "next.open",
    operator: one.reason === "expired" ? "next.cookies" : "next.operator",
  };
  const key = set[one.state] || keys[one.next];
  if (!key) return html`<span class="dim">${t("next.nothing")}</span>`;
  const [before, after] = t(key).split("{when}");
  return html`<span>${before}${after === undefined || one.next_at === null ? null : html`<${Until} at=${one.next_at} />`}${after}</span>`;
}

const GOOD = new Set(["well", "ok", "told", "mended"]);
const ROUTINE = new Set(["probe", "rotation", "alert"]);

export function folded(entries) {
  const found = [];
  const runs = new Map(); // by account and kind, the run that older entries may belong to
  for (const entry of entries) {
    const key = `${entry.account} ${entry.kind}`;
    const run = runs.get(key);
    if (run && run.outcome === entry.outcome && (entry.kind !== "alert" || run.detail === entry.detail)) {
      run.times += 1;
      run.first = entry.at;
      continue;
    }
    const begun = { ...entry, times: 1, first: entry.at };
    found.push(begun);
    if (ROUTINE.has(entry.kind)) runs.set(key, begun);
    // A run ends where something else befell the account.
    else for (const kind of ROUTINE) runs.delete(`${entry.account} ${kind}`);
  }
  return found;
}

export function Line({ entry, account = true }) {
  return html`<li class="line">
    <time datetime=${new Date(entry.at * 1000).toISOString()} title=${fullTime(entry.at)}>${moment(entry.at)}</time>
    <span class="kind">${t(`kind.${entry.kind}`)}</span>
    <span class="what">${account && entry.account && html`<a href=${href("/accounts", entry.account)}>${entry.account}</a>`} ${told(entry)}${entry.times > 1 ? html` <span class="dim">${t("event.times", { n: number(entry.times), first: moment(entry.first), last: moment(entry.at) })}</span>` : null}</span>
  </li>`;
}

const moment = (at) => (now.value && now.value.time - at > 72_000 ? dayTime(at) : clockTime(at));

/** An alert's kind, and what it is about where that is no account: "config_broken: file:/a/path". */
function alerted(detail) {
  const [, kind, subject] = /^(\w+)(?:: (?:\w+:)?(.*))?$/s.exec(detail) || ["", "", ""];
  const about = !subject || subject === "pool" ? "" : subject === "direct" ? t("facts.direct") : subject;
  return `${has(`alert.${kind}`) ? t(`alert.${kind}`) : detail}${about && `: ${about}`}`;
}

function told(entry) {
  const detail = entry.detail && html` <span class="dim">${entry.detail}</span>`;
  switch (entry.kind) {
    case "state": {
      const why = entry.outcome || entry.detail;
      return html`${entry.before && html`<${Badge} state=${entry.before} /> <span aria-hidden="true">→</span><span class="unseen"> ${t("event.to")} </span> `}<${Badge} state=${entry.after} />${why ? html` <span class="dim">${has(`reason.${why}`) ? t(`reason.${why}`) : why}</span>` : null}`;
    }
    case "operator":
      return html`${has(`did.${entry.outcome}`) ? t(`did.${entry.outcome}`) : entry.outcome}${detail}`;
    case "leader":
      return t("event.leader", { replica: entry.replica });
    case "replica":
      return html`<span class="mono">${entry.replica}</span> ${has(`event.replica.${entry.outcome}`) ? t(`event.replica.${entry.outcome}`) : entry.outcome}${detail}`;
    case "alert":
      return html`${alerted(entry.detail)} <${Mark} word=${entry.outcome} />`;
    case "probe":
    case "rotation":
    case "cookies":
      return html`<${Mark} word=${entry.outcome} /> <span class="dim" title=${entry.detail}>${added(entry.outcome, entry.detail)}</span>`;
    default:
      return html`<${Mark} word=${entry.outcome} />${detail}`;
  }
}

const Mark = ({ word }) => html`<${Tag} kind=${GOOD.has(word) ? "good" : word ? "warn" : "note"}>${outcome(word || "–")}</>`;
