// What the page asks of the gateway.
//
//   get(path, options?)            -> the answer's JSON (null where it has no body)
//   post(path, body?, options?)    -> the same; body becomes JSON, a FormData is sent as it is
//   del(path, options?)            -> the same
//   events(path, body, options?)   -> async iterator over the answer's server-sent events: {event, data, id}
//                                     (data is text; comments are left out). POST, or GET where body is undefined.
//   options: {signal: AbortSignal, headers: {...}, method}
//
// Every failure is a Failure:
//   status      HTTP status, 0 where the gateway could not be reached
//   code        the error's code ("invalid_request", "unreachable", ...)
//   message     a sentence for the person
//   param       the field at fault, or ""
//   retryAfter  seconds, or null
//   aborted     true where the page itself gave up (options.signal)
// A 401 also ends the page's session: listeners of `onSignedOut(fn)` are called.
//
// The header x-gempool-page makes the session cookie count for what changes something; no other site can send it.

export class Failure extends Error {
  constructor({ status = 0, code = "", message = "", param = "", retryAfter = null, aborted = false }) {
    super(message);
    this.name = "Failure";
    Object.assign(this, { status, code, param, retryAfter, aborted });
  }
}

const PAGE = { "x-gempool-page": "1" };
const listeners = new Set();

export function onSignedOut(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body, options) => ask("POST", path, body, options);
export const del = (path, options) => ask("DELETE", path, undefined, options);

async function ask(method, path, body, options) {
  const response = await send(method, path, body, options);
  const text = await reading(response.text(), options);
  return text ? parsed(text, response) : null;
}

/** The response, for those who want its headers or bytes. Raises Failure as the others do. */
export async function send(method, path, body, options = {}) {
  const form = body instanceof FormData;
  const init = {
    method,
    headers: { accept: "application/json", ...PAGE, ...options.headers },
    signal: options.signal,
    cache: "no-store",
    credentials: "same-origin",
  };
  if (body !== undefined) {
    init.body = form ? body : JSON.stringify(body);
    if (!form) init.headers["content-type"] = "application/json";
  }
  const response = await reading(fetch(path, init), options);
  if (response.ok) return response;
  const failure = await failureOf(response, options);
  if (response.status === 401 && !options.signingIn) for (const listener of listeners) listener(failure);
  throw failure;
}

export async function* events(path, body, options = {}) {
  const headers = { accept: "text/event-stream", ...options.headers };
  const response = await send(body === undefined ? "GET" : "POST", path, body, { ...options, headers });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = blank();
  try {
    for (;;) {
      const { done, value } = await reading(reader.read(), options);
      if (done) return;
      // Only what is new is searched: a picture is one line of many megabytes that comes in thousands of pieces. The gateway's
      // lines end with \n alone.
      const lines = value.split("\n");
      lines[0] = rest + lines[0];
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (event.seen) yield { event: event.event, data: event.data.join("\n"), id: event.id };
          event = blank();
        } else take(event, line);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // also where the caller left the loop: the gateway then stops its work
  }
}

const blank = () => ({ event: "message", data: [], id: "", seen: false });

function take(event, line) {
  const colon = line.indexOf(":");
  if (colon === 0) return;
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (field === "data") {
    event.data.push(value);
    event.seen = true;
  } else if (field === "event" || field === "id") event[field] = value;
}

async function reading(promise, options = {}) {
  try {
    return await promise;
  } catch (error) {
    const aborted = Boolean(options.signal && options.signal.aborted);
    throw new Failure({ code: aborted ? "aborted" : "unreachable", message: aborted ? "" : String(error.message), aborted });
  }
}

async function failureOf(response, options) {
  const text = await reading(response.text(), options);
  let told = {};
  try {
    told = JSON.parse(text).error || {};
  } catch {
    // A proxy in between answers in its own words, which help nobody here.
  }
  const wait = Number(response.headers.get("retry-after"));
  return new Failure({
    status: response.status,
    code: String(told.code || `http_${response.status}`),
    message: told.message || `HTTP ${response.status} ${response.statusText}`.trim(),
    param: told.param || "",
    retryAfter: response.headers.has("retry-after") && Number.isFinite(wait) ? wait : null,
  });
}

function parsed(text, response) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure({ status: response.status, code: "unreadable", message: "The gateway's answer is not JSON." });
  }
}
