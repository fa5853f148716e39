// What the numbers come to: which accounts are ill, how the last hour went. Pure functions, and signals made of them.
//
//   ILL                 states that want a person's eye: quarantined, cooling
//   trouble             signal: number of accounts that are out (quarantined)
//   ranked(accounts)    the ill ones first, those that are out before those that rest, the longest ill first
//   lastHour            signal: sixty entries, oldest first: {start, well, failed, limited, cancelled, total, asked, throttled, seconds, first_content}
//   records             signal: Map of account id -> {asked, well, throttled, failed, cancelled, perMinute: [60 x {well, failed}]}
//   quantile(buckets, q)   of a mapping upper bound -> count; seconds, or null without any
//   merged(list of buckets)
import { computed } from "./lib.js";
import { accounts, minutes, now } from "./live.js";

export const SEVERITY = { quarantined: 0, cooling: 1, starting: 2, draining: 3, disabled: 4, active: 5 };
export const serves = (one) => one.state === "active" || one.state === "cooling";

/** Outcomes of requests that say nothing about the service: the caller's own mistakes. */
const CALLERS = new Set(["invalid_request", "content_filter", "previous_response_not_found", "invalid_api_key", "forbidden", "not_found",
  "model_not_found", "method_not_allowed", "request_timeout", "conflict", "request_too_large", "unsupported_media_type", "answer_unfit",
  "idempotency_key_reused", "request_head_too_large"]);
const LIMITED = new Set(["rate_limit_exceeded", "too_many_batches", "pool_busy", "usage_limit_reached"]);
export const THROTTLED = new Set(["throttled", "usage_limit", "ip_blocked"]);

export const kindOf = (outcome) =>
  outcome === "ok" ? "well" : outcome === "cancelled" ? "cancelled" : LIMITED.has(outcome) ? "limited" : CALLERS.has(outcome) ? "refused" : "failed";

export const trouble = computed(() => accounts.value.reduce((n, one) => n + (one.state === "quarantined" ? 1 : 0), 0));

export function ranked(all) {
  return all
    .filter((one) => one.state === "quarantined" || one.state === "cooling")
    .sort((a, b) => SEVERITY[a.state] - SEVERITY[b.state] || (a.since || 0) - (b.since || 0));
}

const minuteNow = computed(() => (now.value ? Math.floor(now.value.time / 60) * 60 : 0));

export const lastHour = computed(() => {
  const end = minuteNow.value;
  const by = new Map(minutes.value.map((one) => [one.start, one]));
  return Array.from({ length: 60 }, (_, i) => counted(end - (59 - i) * 60, by.get(end - (59 - i) * 60)));
});

function counted(start, minute) {
  const found = { start, well: 0, failed: 0, limited: 0, cancelled: 0, refused: 0, total: 0, asked: 0, throttled: 0, seconds: {}, first_content: {} };
  if (!minute) return found;
  for (const [outcome, n] of Object.entries(minute.served)) {
    found[kindOf(outcome)] += n;
    found.total += n;
  }
  for (const outcomes of Object.values(minute.asked))
    for (const [outcome, n] of Object.entries(outcomes)) {
      found.asked += n;
      if (THROTTLED.has(outcome)) found.throttled += n;
    }
  return { ...found, seconds: minute.seconds, first_content: minute.first_content };
}

export const records = computed(() => {
  const end = minuteNow.value;
  const all = new Map();
  for (const minute of minutes.value) {
    const place = 59 - (end - minute.start) / 60;
    if (place < 0 || place > 59) continue;
    for (const [id, outcomes] of Object.entries(minute.asked)) {
      if (!all.has(id)) all.set(id, { asked: 0, well: 0, throttled: 0, failed: 0, cancelled: 0, perMinute: new Array(60).fill(null) });
      const record = all.get(id);
      const cell = { well: 0, failed: 0, cancelled: 0 };
      for (const [outcome, n] of Object.entries(outcomes)) {
        record.asked += n;
        if (outcome === "ok") cell.well += n;
        else if (outcome === "cancelled") cell.cancelled += n;
        else cell.failed += n;
        if (THROTTLED.has(outcome)) record.throttled += n;
      }
      for (const kind of ["well", "failed", "cancelled"]) record[kind] += cell[kind];
      record.perMinute[place] = cell;
    }
  }
  return all;
});

/** The share of attempts that went well among those that came to an end, or null without any. */
export function success(record) {
  const ended = record ? record.well + record.failed : 0;
  return ended ? record.well / ended : null;
}

export function merged(list) {
  const all = {};
  for (const buckets of list) for (const [bound, n] of Object.entries(buckets)) all[bound] = (all[bound] || 0) + n;
  return all;
}

/** Counts stand under their bucket's own upper bound, so they are not cumulative; within a bucket they are taken as even. */
export function quantile(buckets, q) {
  const sorted = Object.entries(buckets)
    .map(([bound, n]) => [bound === "+Inf" ? Infinity : Number(bound), n])
    .sort((a, b) => a[0] - b[0]);
  const total = sorted.reduce((sum, [, n]) => sum + n, 0);
  if (!total) return null;
  let seen = 0;
  let lower = 0;
  for (const [bound, n] of sorted) {
    if (seen + n >= q * total) return bound === Infinity ? lower : lower + (bound - lower) * Math.max(0, (q * total - seen) / n);
    seen += n;
    lower = bound;
  }
  return lower;
}
