// What the page knows of the gateway, kept up to date. All of it are signals; read them in components.
//
//   phase      "asking" (nothing known yet) | "login" | "open"
//   session    what GET /admin/api/session said: {needed, signed_in, expires_at, version, why}, or null
//   word       why the login is shown again: "" | "expired" | "left"
//   link       "connecting" | "live" | "lost" (the page then shows what it knew, and keeps trying)
//   linkWhy    what the gateway says where it answers and yet tells nothing (its store is away), or ""
//   linkSince  when the link was lost, ms of this machine's clock
//   back       how often the live stream has begun. Who fetches by themselves fetch again when it changes: what could not be had
//              while the gateway was away is then there without anybody's asking
//   waits      "" | "session" | "view": what the first look has waited for longer than a moment
//   asleep     nobody looks at the page: it holds no stream of events, as a browser has six connections to a host for all its tabs
//   now        Now of engine/service.py, or null before the first view
//   accounts   [Standing] in the roster's order;  account(id) -> one of them or undefined;  gone: Set of ids that were deleted
//   happened   [Happened] newest first (1,000 at most);  served: [Served] newest first (500 at most)
//   minutes    [Minute] oldest first, 90 minutes at most
//   time       seconds since 1970 by the store's clock, moving once a second
//
//   start()            asks for the session and begins; call once
//   login(key)         raises api.Failure;  logout()
//   adopt(standing)    puts in what an action answered, ahead of the next turn
import { batch, computed, signal } from "./lib.js";
import { Failure, del, get, onSignedOut, send } from "./api.js";
import { own } from "./i18n.js";

const GRACE = 2000; // ms that a hidden page stays connected
const SLOW = 3000; // ms after which the first look says what it waits for
const QUIET = 15_000; // ms without a word (turns come every five seconds at least) after which the link counts as lost
const KEPT = { happened: 1000, served: 500, minutes: 90 };

export const phase = signal("asking");
export const session = signal(null);
export const word = signal("");
export const link = signal("connecting");
export const linkSince = signal(0);
export const linkWhy = signal("");
export const back = signal(0);
export const waits = signal("");
export const asleep = signal(false);
export const now = signal(null);
export const accounts = signal([]);
export const gone = signal(new Set());
export const happened = signal([]);
export const served = signal([]);
export const minutes = signal([]);
export const time = signal(Date.now() / 1000);
export const pageVersion = signal("");

const byId = computed(() => new Map(accounts.value.map((one) => [one.id, one])));
export const account = (id) => byId.value.get(id);

let source = null;
let heard = 0;
let failures = 0;
let timer = 0;
let rest = 0;
let slow = 0;
let asked = 0; // when the session was told, by the store's clock
let ahead = 0; // ms by which the store's clock is ahead of this machine's

export function start() {
  onSignedOut(() => {
    if (phase.value === "open") ended("expired");
  });
  setInterval(tick, 1000);
  for (const event of ["pointerdown", "keydown"]) window.addEventListener(event, renew, { passive: true });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(rest);
    if (document.visibilityState === "visible") wake();
    else rest = setTimeout(sleep, GRACE);
  });
  // A phone that wakes up finds its connection dead without having been told.
  for (const event of ["visibilitychange", "online", "pageshow"])
    window.addEventListener(event, () => document.visibilityState === "visible" && tick(), { capture: true });
  if (document.visibilityState === "visible") return recover();
  asleep.value = true;
}

function sleep() {
  asleep.value = true;
  clearTimeout(timer);
  close();
}

function wake() {
  if (!asleep.value) return;
  asleep.value = false;
  if (phase.value === "login") return;
  if (link.value === "live") link.value = "connecting";
  recover();
}

function tick() {
  if (document.visibilityState !== "visible") return;
  time.value = (Date.now() + ahead) / 1000;
  if (source && Date.now() - heard > QUIET) lost();
}

/** A session that is half over is made anew while somebody works with the page; one that nobody uses ends. */
async function renew() {
  const told = session.value;
  if (phase.value !== "open" || !told.expires_at || time.value < (told.expires_at + asked) / 2) return;
  asked = time.value; // once, whatever comes of it
  try {
    session.value = await get("/admin/api/session");
  } catch {
    // the next touch after the half of what is left tries again
  }
}

/** Ask who we are, then listen; again and again while the gateway does not answer. */
async function recover() {
  clearTimeout(timer);
  patience("session");
  let found;
  try {
    found = await get("/admin/api/session", { signal: AbortSignal.timeout(8000) });
  } catch {
    if (asleep.value) return;
    linkLost();
    again();
    return;
  }
  if (!pageVersion.value) pageVersion.value = found.version;
  session.value = found;
  asked = time.value;
  if (asleep.value) return;
  if (found.needed && !found.signed_in) {
    if (phase.value === "open") word.value = "expired";
    phase.value = "login";
    link.value = "connecting";
    failures = 0;
    return;
  }
  listen();
}

/** Say what is waited for where it lasts, and why, if the gateway tells. */
function patience(what) {
  clearTimeout(slow);
  if (phase.value !== "asking") return;
  if (waits.value) waits.value = what;
  slow = setTimeout(() => {
    waits.value = what;
    if (what === "view") explain();
  }, SLOW);
}

/** The stream has ended: that may be the end of the session, so we ask at once, and once. */
function cut() {
  close();
  if (link.value === "live") link.value = "connecting";
  failures += 1;
  recover();
}

function again() {
  failures += 1;
  timer = setTimeout(recover, Math.min(5000, 500 * 2 ** Math.min(failures, 4)) * (0.75 + Math.random() / 2));
}

function linkLost() {
  if (link.value !== "lost") linkSince.value = Date.now();
  link.value = "lost";
}

function lost() {
  close();
  linkLost();
  again();
}

function close() {
  if (source) source.close();
  source = null;
}

function listen() {
  close();
  patience("view");
  heard = Date.now();
  source = new EventSource("/admin/api/live");
  const on = (name, take) =>
    source.addEventListener(name, (event) => {
      heard = Date.now();
      if (take) take(JSON.parse(event.data));
    });
  on("view", (view) => batch(() => begin(view)));
  on("turn", (turn) => batch(() => follow(turn)));
  source.addEventListener("bye", cut);
  // The browser would try again by itself, but not after a 401 or a 503, and it does not say which it was.
  source.addEventListener("error", () => {
    if (failures === 0) return cut();
    lost();
    explain();
  });
}

async function explain() {
  try {
    await get("/admin/api/view");
    linkWhy.value = "";
  } catch (failure) {
    linkWhy.value = failure.status ? own(failure.message, `error.${failure.code}`) : "";
  }
}

function begin(view) {
  failures = 0;
  clearTimeout(slow);
  waits.value = "";
  const known = new Set(view.accounts.map((one) => one.id));
  const missing = accounts.value.filter((one) => !known.has(one.id)).map((one) => one.id);
  if (missing.length) gone.value = new Set([...gone.value, ...missing]);
  accounts.value = view.accounts;
  happened.value = view.happened;
  served.value = view.served;
  minutes.value = view.minutes;
  reckon(view.now);
  link.value = "live";
  linkWhy.value = "";
  back.value += 1;
  phase.value = "open";
  word.value = "";
}

function follow(turn) {
  reckon(turn.now);
  if (turn.accounts.length || turn.gone.length) {
    const news = new Map(turn.accounts.map((one) => [one.id, one]));
    const left = new Set(turn.gone);
    const kept = accounts.value.filter((one) => !left.has(one.id)).map((one) => news.get(one.id) || one);
    const known = new Set(kept.map((one) => one.id));
    accounts.value = [...kept, ...turn.accounts.filter((one) => !known.has(one.id))];
    if (left.size) gone.value = new Set([...gone.value, ...left]);
  }
  if (turn.order) {
    const places = new Map(turn.order.map((id, at) => [id, at + 1]));
    accounts.value = accounts.value.map((one) => {
      const order = places.get(one.id) || 0;
      return one.order === order ? one : { ...one, order };
    });
  }
  if (turn.happened.length) happened.value = [...turn.happened, ...happened.value].slice(0, KEPT.happened);
  if (turn.served.length) served.value = [...turn.served, ...served.value].slice(0, KEPT.served);
  if (turn.minutes.length) {
    const all = new Map(minutes.value.map((one) => [one.start, one]));
    for (const one of turn.minutes) all.set(one.start, one);
    const since = turn.now.time - KEPT.minutes * 60;
    minutes.value = [...all.values()].filter((one) => one.start > since).sort((a, b) => a.start - b.start);
  }
}

function reckon(told) {
  now.value = told;
  ahead = told.time * 1000 - Date.now();
  time.value = told.time;
}

export function adopt(standing) {
  accounts.value = accounts.value.map((one) => (one.id === standing.id ? standing : one));
}

export async function login(key) {
  // A wrong key is a 401 too, but ends no session.
  const response = await send("POST", "/admin/api/session", { key }, { signingIn: true });
  session.value = await response.json();
  asked = time.value;
  if (!session.value.signed_in) throw new Failure({ status: 401, code: "invalid_api_key" });
  word.value = "";
  listen();
  phase.value = "open";
}

export async function logout() {
  try {
    await del("/admin/api/session");
  } finally {
    ended("left");
  }
}

function ended(why) {
  close();
  clearTimeout(timer);
  batch(() => {
    word.value = why;
    phase.value = "login";
    link.value = "connecting";
    now.value = null;
    accounts.value = [];
    happened.value = [];
    served.value = [];
    minutes.value = [];
  });
}
