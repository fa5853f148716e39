// What every client script says its findings with, and how it tells the simulator what comes next: the same as
// ../python/checks.py, for Node.
import { appendFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';

const env = process.env;
export const URL_ = env.CLIENTS_URL, KEY = env.CLIENTS_KEY, TIGHT_URL = env.CLIENTS_TIGHT_URL;
export const MODEL = 'gemini-3-flash-preview', OTHER_MODEL = 'gemini-2.5-flash', PRO_MODEL = 'gemini-2.5-pro';
export const PICTURE_MODEL = 'gemini-2.5-flash-image';
export const UNICODE =
  'Zwölf Boxkämpfer, 漢字かな交じり, עברית, \u202eمرحبا\u202c, e\u0301, 👩\u200d🚀🇺🇳, <b>&amp;</b> \\n "quoted" $x^2$ `code`';
export const LONG = 'lorem ipsum dolor sit amet, consectetur adipiscing '.repeat(20_000) + 'THE-END';

let client = '', group = '';
const write = line => appendFileSync(env.CLIENTS_FILE, JSON.stringify({ client, ...line }) + '\n');
const shown = value => {
  if (value instanceof Error) return `${value.name}: ${value.message} ${value.stack?.split('\n').slice(1, 4).join(' ')} cause: ${value.cause ?? ''}`.slice(0, 1500);
  try { return (typeof value === 'string' ? value : JSON.stringify(value) ?? String(value)).slice(0, 1500); } catch { return String(value); }
};

export function begin(name, versions = {}) { client = name; write({ versions }); }

/** One check: `fact` is what a user would expect, `held` whether it is so, `detail` what was seen. */
export function that(fact, held, detail = '') {
  write({ group, fact, ok: Boolean(held), detail: held ? '' : shown(detail) });
}

/** A group of facts. The simulator is as new at its start; an exception is a failed check and ends the group. */
export async function check(name, body, seconds = 60) {
  if (env.CLIENTS_ONLY && !name.includes(env.CLIENTS_ONLY)) return;
  group = name;
  await reset();
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('the case took too long')), seconds * 1000); });
  try {
    await Promise.race([body(), late]);
  } catch (error) {
    that('no unexpected error', false, error);
  } finally {
    clearTimeout(timer);
  }
}

/** The exception of `act`, for which `held` must be true; an empty stand-in if it raised none. */
export async function raised(fact, held, act) {
  let got;
  try {
    got = await act();
  } catch (error) {
    that(fact, held(error), error);
    return error ?? new Error('none');
  }
  that(fact, false, `no exception, but ${shown(got)}`);
  return new Error('none');
}

export async function control(method, path, body) {
  const answer = await fetch(env.CLIENTS_CONTROL.replace(/\/$/, '') + path, {
    method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'content-type': 'application/json' },
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`control ${path}: ${text}`);
  return text ? JSON.parse(text) : null;
}
export async function reset() {
  await control('POST', '/reset');
  await control('PUT', '/defaults', { words: 30, frames: 5 });
}
const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
/** The next prompts are answered with these texts, in this order, whichever account they reach. */
export const reply = (texts, fields = {}) =>
  control('POST', '/replies', [texts].flat().map(text => ({ text: escaped(text), ...fields })));
export const defaults = fields => control('PUT', '/defaults', fields);
export async function fault(kind, fields = {}) {
  const found = await control('GET', '/accounts');
  for (const { id } of found.accounts ?? found) await control('PUT', `/accounts/${id}/fault`, { kind, ...fields });
}
export async function prompts() {
  const found = await control('GET', '/journal');
  return found.prompts ?? found;
}
export async function until(condition, seconds = 10) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise(r => setTimeout(r, 20)))
    if (await condition()) return true;
  return false;
}
/** Whether the last prompt was left by the gateway, soon. */
export const left = () => until(async () => (await prompts()).at(-1)?.outcome === 'aborted', 5);

export const callText = (...calls) =>
  calls.map(([name, given]) => '```tool_call\n' + JSON.stringify({ name, arguments: given }) + '\n```').join('\n');

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]), out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}
function crc(bytes) {
  if (crc32) return crc32(bytes);
  let c = ~0;
  for (const byte of bytes) { c ^= byte; for (let n = 0; n < 8; n++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1; }
  return ~c >>> 0;
}
export function png(width = 48, height = 32) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0); head.writeUInt32BE(height, 4); head[8] = 8; head[9] = 2;
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, 200)]);
  const rows = Buffer.concat(Array(height).fill(row));
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
export const base64 = (data = png()) => Buffer.from(data).toString('base64');
export const dataUrl = (data = png()) => 'data:image/png;base64,' + base64(data);
export const isPicture = data => ['89504e47', 'ffd8ff', '52494646'].some(start => Buffer.from(data).toString('hex', 0, 4).startsWith(start));
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
export const inOrder = (text, ...parts) => { const at = parts.map(p => text.indexOf(p)); return !at.includes(-1) && at.every((x, n) => !n || at[n - 1] < x); };
export const sleep = ms => new Promise(r => setTimeout(r, ms));
export const collect = async stream => { const out = []; for await (const one of stream) out.push(one); return out; };
