// What the numbers and words of the gateway mean, as sentences.
//
//   outcome(word)          of a probe, an attempt, a rotation, in the person's language
//   reason(account)        why it is as it is, '' where there is nothing to tell; a part of a sentence, without a full stop
//   remedy(account)        what a person can do, '' where there is nothing
//   <${Next} one />        what happens to the account next, with its countdown
//   <${Line} entry account={shown} />   a happening as a sentence; account: whether to name the account
import { html } from "./lib.js";
import { clockTime, dayTime, fullTime, has, t } from "./i18n.js";
import { now } from "./live.js";
import { href } from "./router.js";
import { Badge, Tag, Until } from "./ui.js";

export const outcome = (word) => (has(`outcome.${word}`) ? t(`outcome.${word}`) : word.replaceAll("_", " "));

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

export function Line({ entry, account = true }) {
  return html`<li class="line">
    <time datetime=${new Date(entry.at * 1000).toISOString()} title=${fullTime(entry.at)}>${now.value && now.value.time - entry.at > 72_000 ? dayTime(entry.at) : clockTime(entry.at)}</time>
    <span class="kind">${t(`kind.${entry.kind}`)}</span>
    <span class="what">${account && entry.account && html`<a href=${href("/accounts", entry.account)}>${entry.account}</a>`} ${told(entry)}</span>
  </li>`;
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
      return html`${t("event.leader", { replica: entry.replica })}${detail}`;
    case "replica":
      return html`<span class="mono">${entry.replica}</span> ${has(`event.replica.${entry.outcome}`) ? t(`event.replica.${entry.outcome}`) : entry.outcome}${detail}`;
    default:
      return html`<${Tag} kind=${GOOD.has(entry.outcome) ? "good" : entry.outcome ? "warn" : "note"}>${outcome(entry.outcome || "–")}</>${detail}`;
  }
}

