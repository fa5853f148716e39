// @google/gemini-cli, headless, on GOOGLE_GEMINI_BASE_URL.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, MODEL, TIGHT_URL, UNICODE, URL_, begin, callText, check, defaults, fault, prompts, reply, that } from '../checks.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'node_modules', '@google', 'gemini-cli');
const about = JSON.parse(readFileSync(join(folder, 'package.json')));
begin('gemini-cli', { 'gemini-cli': about.version });

const home = process.env.HOME, project = join(home, 'project');
mkdirSync(join(home, '.gemini'), { recursive: true });
mkdirSync(project, { recursive: true });
// With GOOGLE_GEMINI_BASE_URL it picks an auth type of its own that its own check refuses, unless this is said.
writeFileSync(join(home, '.gemini', 'settings.json'), JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } }, telemetry: { enabled: false }, general: { disableAutoUpdate: true } }));

function gemini(args, { key = KEY, url = URL_, input = '', seconds = 90, model = MODEL } = {}) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [join(folder, Object.values(about.bin)[0]), '--skip-trust', '-m', model, ...args], {
      cwd: project,
      env: { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', GOOGLE_GEMINI_BASE_URL: url, GEMINI_API_KEY: key, GEMINI_TELEMETRY_ENABLED: 'false', NO_COLOR: '1' },
    });
    let out = '', err = '';
    child.stdout.on('data', data => { out += data; });
    child.stderr.on('data', data => { err += data; });
    child.stdin.end(input);
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
    child.on('close', code => { clearTimeout(timer); resolve({ code, out, err }); });
  });
}
const seen = ({ code, out, err }) => `exit ${code}\n${out.slice(-500)}\n${err.slice(-800)}`;

await check('text', async () => {
  await reply('Hello from the model: ' + UNICODE);
  const done = await gemini(['-p', 'Hello there']);
  that('exit code 0', done.code === 0, seen(done));
  that('prints the answer', done.out.includes('Hello from the model: ' + UNICODE), seen(done));
  const sent = (await prompts()).at(-1);
  that('its big prompt arrives', sent.length > 10_000, sent);
}, 100);
await check('usage', async () => {
  await reply('Counted.');
  const done = await gemini(['-p', 'Hello there', '-o', 'json']);
  const found = JSON.parse(done.out.slice(done.out.indexOf('{')));
  that('-o json: the answer', found.response === 'Counted.', seen(done));
  that('-o json: tokens', Object.values(found.stats.models).some(m => m.tokens.total > 0), found.stats);
}, 100);
await check('long prompt', async () => {
  await reply('Long.');
  const done = await gemini(['-p', 'Read'], { input: 'lorem ipsum '.repeat(20_000) });
  that('a quarter of a megabyte over standard input', done.code === 0 && (await prompts()).at(-1).length > 240_000, seen(done));
}, 100);
await check('tools result', async () => {
  writeFileSync(join(project, 'notes.txt'), 'the secret word is heliotrope\n');
  await reply([callText(['read_file', { file_path: 'notes.txt' }]), 'I have read it.']);
  const done = await gemini(['-p', 'Read notes.txt', '--yolo']);
  that('the file is read, then words', done.code === 0 && done.out.includes('I have read it.'), seen(done));
  const sent = await prompts();
  that('two prompts, the second with the result', sent.length === 2 && sent[1].length > sent[0].length, sent.map(p => p.length));
  await reply([callText(['write_file', { file_path: join(project, 'made.txt'), content: 'made & <by>\n\tthe "model"\n' }]), 'Written.']);
  const wrote = await gemini(['-p', 'Write made.txt', '--yolo']);
  let text = '';
  try { text = readFileSync(join(project, 'made.txt'), 'utf8'); } catch { /* told below */ }
  that('a file is written as the model said', text === 'made & <by>\n\tthe "model"\n', text + seen(wrote));
}, 200);
await check('unknown model', async () => {
  const done = await gemini(['-p', 'Hi'], { model: 'gemini-17-flash' });
  that('fails', done.code !== 0, seen(done));
  that('and says why', /gemini-17-flash|not found|NOT_FOUND/i.test(done.err + done.out), seen(done));
}, 100);
await check('wrong key', async () => {
  const done = await gemini(['-p', 'Hi'], { key: 'wrong-key' });
  that('fails', done.code !== 0, seen(done));
  that('and says key, and not which', /key/i.test(done.err + done.out) && !(done.err + done.out).includes('wrong-key'), seen(done));
}, 100);
await check('rate limit', async () => {
  await reply('First.');
  await gemini(['-p', 'Hi'], { url: TIGHT_URL });
  await reply('Second.');
  const begun = Date.now();
  const done = await gemini(['-p', 'Hi'], { url: TIGHT_URL });
  that('RetryInfo is obeyed', done.code === 0 && done.out.includes('Second.') && Date.now() - begun < 40_000, seen(done));
}, 200);
await check('upstream fault', async () => {
  await fault('error_1013', { times: 1 });
  const whole = await gemini(['-p', 'Hi']);
  that('before content it is not noticed', whole.code === 0 && whole.out.length > 20, seen(whole));
  await defaults({ words: 300, frames: 12 });
  await fault('truncate', { frames: 3, times: 1 });
  const done = await gemini(['-p', 'Hi']);
  that('a broken answer is told or asked again', done.code !== 0 || (await prompts()).length > 2, seen(done));
}, 200);
