// How a batch looks, in the list and on its own page.
import { html } from "../../lib.js";
import { lang, number, plural, t } from "../../i18n.js";
import { Tag } from "../../ui.js";

const KINDS = { queued: "note", running: "note", completed: "good", failed: "bad", cancelling: "warn", cancelled: "warn" };

export const State = ({ state }) => html`<${Tag} kind=${KINDS[state]}>${t(`batch.state.${state}`)}</>`;

/** What a batch waits for, by what is recognisable in the gateway's words, as words that the page has. */
const WAITS = [
  ["reason.throttled", /throttles the accounts/],
  ["reason.unstable", /rest after failures/],
  ["reason.suspect", /being looked at/],
  ["reason.ip_blocked", /blocks the accounts' address/],
  ["reason.model_unavailable", /not given this model/],
  ["reason.network", /does not reach the upstream/],
  ["head.starting", /being opened/],
  ["batch.waits.again", /waits for its next try/],
  ["head.down", /No account can serve/],
  ["reason.usage_limit", /usage limit/],
];

export function waitsFor(sentence) {
  const [key] = (lang.value !== "en" && WAITS.find(([, sign]) => sign.test(sentence))) || [];
  return key ? t(key) : sentence;
}

/** When ISO 8601 text is, in seconds since 1970; null for none. */
export const secondsOf = (iso) => (iso ? Date.parse(iso) / 1000 : null);

export const ended = (batch) => ["completed", "failed", "cancelled"].includes(batch.status);

/** What became of its tasks, as one bar and in words. */
export function Progress({ batch }) {
  const parts = [
    ["done", batch.completed],
    ["failed", batch.failed],
    ["cancelled", batch.cancelled],
    ["running", batch.running],
  ].filter(([, n]) => n > 0);
  const words = [
    t("batch.count.done", { n: number(batch.completed), total: number(batch.total) }),
    ...parts.filter(([name]) => name !== "done").map(([name, n]) => plural(`batch.count.${name}`, n)),
  ].join(", ");
  const settled = batch.completed + batch.failed + batch.cancelled;
  return html`<div class="stack tight">
    <div class="progress" role="progressbar" aria-label=${t("batch.progress")} aria-valuemin="0" aria-valuemax=${batch.total} aria-valuenow=${settled} aria-valuetext=${words}>
      ${parts.map(([name, n]) => html`<i key=${name} class=${name} style=${{ flexGrow: n / batch.total }} />`)}
      <i style=${{ flexGrow: Math.max(0, batch.total - settled - batch.running) / batch.total }} /></div>
    <p class="dim number">${words}</p></div>`;
}
