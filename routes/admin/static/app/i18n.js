// Words. Two languages, one dictionary each and as many parts as there are owners.
//
//   await ready()             loads the words; call once, before the first rendering
//   lang                      signal: "en" | "zh"
//   setLang("zh")             changes and remembers it; everything that used t() is drawn again. Rejects where the words cannot be loaded
//   t("key", {name: value})   the words, with {name} put in. In a component it follows the language.
//   has("key")                whether there are such words
//   own(sentence, "key")      a sentence of the gateway's: as it is to who reads English, else the words of the key where there are any
//   plural("key", n, more?)   t("key.one") or t("key.other") by the language's rules, with {n}
//   number(n), percent(0..1), bytes(n), seconds(s) (short: "340 ms", "2.1 s", "3 min"), span(s) ("3 min", "2 d 4 h")
//   clockTime(s), dayTime(s), fullTime(s)   a time in seconds since 1970: of today, of another day, whole
//
// Dictionaries: words/<lang>.js (the frame, accounts, events) and words/<lang>-play.js (playground, batches, requests).
// Both languages must have the same keys and the same {names}: tests/page/test_static.py compares them.
import { signal } from "./lib.js";

const PARTS = ["", "-play"];
const LANGS = ["en", "zh"];
const KEY = "gempool.lang";

const words = signal({});
export const lang = signal(first());

function first() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // Storage may be forbidden; then the browser's language decides each time.
  }
  if (LANGS.includes(kept)) return kept;
  return (navigator.languages || [navigator.language]).some((one) => /^zh\b/i.test(one)) ? "zh" : "en";
}

export async function ready() {
  await load(lang.value);
}

export async function setLang(wanted) {
  await load(wanted);
  try {
    localStorage.setItem(KEY, wanted);
  } catch {
    // see first()
  }
}

let missed = 0;

async function load(wanted) {
  // A browser remembers that a module could not be fetched; under another address it asks again.
  const again = missed ? `?again=${missed}` : "";
  const parts = await Promise.all(PARTS.map((part) => import(`./words/${wanted}${part}.js${again}`))).catch((error) => {
    missed += 1;
    throw error;
  });
  words.value = Object.assign({}, ...parts.map((part) => part.default));
  lang.value = wanted;
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
}

export const has = (key) => key in words.value;

export function t(key, values) {
  const text = words.value[key];
  if (text === undefined) return key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : text;
}

export const own = (sentence, key) => (lang.value !== "en" && has(key) ? t(key) : sentence);

const locale = () => (lang.value === "zh" ? "zh-CN" : "en-GB");
const formats = new Map();

function format(kind, name, options) {
  const key = `${locale()} ${name}`;
  if (!formats.has(key)) formats.set(key, new kind(locale(), options));
  return formats.get(key);
}

export function plural(key, n, more) {
  const rule = format(Intl.PluralRules, "plural").select(n);
  const found = has(`${key}.${rule}`) ? `${key}.${rule}` : `${key}.other`;
  return t(found, { n: number(n), ...more });
}

export const number = (n) => format(Intl.NumberFormat, "number", { maximumFractionDigits: 1 }).format(n);

/** Rounded, but never to all or to nothing where it is not. */
export const percent = (share) =>
  format(Intl.NumberFormat, "percent", { style: "percent", maximumFractionDigits: 1 }).format(share > 0 && share < 1 ? Math.min(0.999, Math.max(0.001, share)) : share);

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  return n < 1e6 ? `${number(n / 1e3)} kB` : `${number(n / 1e6)} MB`;
}

/** How long something took. */
export function seconds(s) {
  if (s === null || s === undefined || !Number.isFinite(s)) return "–";
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  return s < 60 ? `${number(s)} ${t("unit.s")}` : span(s);
}

/** A stretch of time in at most two units, rounded down: what a person would say. */
export function span(s) {
  s = Math.max(0, Math.floor(s));
  if (s < 60) return `${s} ${t("unit.s")}`;
  const [minutes, hours, days] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86400)];
  if (minutes < 60) return `${minutes} ${t("unit.min")}`;
  if (hours < 24) return two(hours, "unit.h", minutes % 60, "unit.min");
  return two(days, "unit.d", hours % 24, "unit.h");
}

const two = (a, unitA, b, unitB) => `${a} ${t(unitA)}${b ? ` ${b} ${t(unitB)}` : ""}`;

export const clockTime = (at) =>
  format(Intl.DateTimeFormat, "clock", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(at * 1000);
export const dayTime = (at) =>
  format(Intl.DateTimeFormat, "day", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(at * 1000);
export const fullTime = (at) =>
  format(Intl.DateTimeFormat, "full", { dateStyle: "medium", timeStyle: "medium" }).format(at * 1000);
