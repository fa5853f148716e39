// @google/genai for Node: v1, which it calls by itself, and v1beta.
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from '@google/genai';
import { readFileSync } from 'node:fs';
import {
  KEY, LONG, MODEL, OTHER_MODEL, PICTURE_MODEL, PRO_MODEL, TIGHT_URL, UNICODE, URL_, base64, begin, callText, check, collect, control,
  defaults, fault, inOrder, isPicture, left, png, prompts, raised, reply, reset, same, sleep, that,
} from '../checks.mjs';

const { version } = JSON.parse(readFileSync(new URL('./node_modules/@google/genai/package.json', import.meta.url)));
begin('genai-js', { '@google/genai': version });
const made = (httpOptions = {}, apiKey = KEY) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: URL_, ...httpOptions } });
const client = made(), beta = made({ apiVersion: 'v1beta' }), prefixed = made({ baseUrl: `${URL_}/gemini` });
const both = Object.entries({ v1: client, v1beta: beta });
const ask = (contents, config, by = client, model = MODEL) => by.models.generateContent({ model, contents, config });
const streamed = async (contents, config, by = client, model = MODEL) => collect(await by.models.generateContentStream({ model, contents, config }));
const textOf = chunks => chunks.map(c => c.text ?? '').join('');
const status = code => error => error instanceof ApiError && error.status === code;
const weather = { name: 'get_weather', description: 'The weather', parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ['city'] } };
const clock = { name: 'get_time', parametersJsonSchema: { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] } };
const tools = [{ functionDeclarations: [weather, clock] }];
const calling = (mode, allowedFunctionNames) => ({ tools, toolConfig: { functionCallingConfig: { mode, allowedFunctionNames } } });
const callsOf = answer => (answer.functionCalls ?? []).map(c => [c.name, c.args]);

await check('text', async () => {
  for (const [name, by] of [...both, ['/gemini', prefixed]]) {
    const answer = await ask('Hello there', undefined, by);
    that(`${name}: answers`, answer.text.includes('You said: Hello there'), answer);
  }
  const answer = await ask('Hello there');
  that('finishReason and role', answer.candidates[0].finishReason === 'STOP' && answer.candidates[0].content.role === 'model', answer);
  that('usageMetadata', answer.usageMetadata.totalTokenCount > 0, answer);
});
await check('stream', async () => {
  for (const [name, by] of both) {
    await defaults({ frames: 8, frame_delay: 0.05, words: 80 });
    const chunks = await streamed('Hello there', undefined, by);
    that(`${name}: adds up`, textOf(chunks).startsWith('You said: Hello there') && chunks.length > 4, textOf(chunks));
    that(`${name}: finishReason and usage at the end`, chunks.at(-1).candidates[0].finishReason === 'STOP' && chunks.at(-1).usageMetadata.totalTokenCount > 0, chunks.at(-1));
  }
  await defaults({ first_delay: 2 });
  that('keep-alives harm nothing', textOf(await streamed('Slow')).includes('You said: Slow'));
});
await check('system', async () => {
  for (const [name, by] of both) that(name, (await ask('Hi', { systemInstruction: 'Be a pirate' }, by)).text.includes('Be a pirate'));
});
await check('turns', async () => {
  const chat = client.chats.create({ model: MODEL });
  await chat.sendMessage({ message: 'My name is Ada' });
  const { text } = await chat.sendMessage({ message: 'What is my name?' });
  that('in their order', inOrder(text, 'My name is Ada', 'You said: My name', 'What is my name?'), text);
  const more = textOf(await collect(await chat.sendMessageStream({ message: 'And now?' })));
  that('streamed', inOrder(more, 'My name is Ada', 'And now?'), more);
});
await check('unicode', async () => {
  that('as it was sent', (await ask(UNICODE)).text.includes(UNICODE));
  await reply(UNICODE, { frames: 40 });
  const text = textOf(await streamed('Say it'));
  that('in forty pieces', text === UNICODE, text);
});
await check('long prompt', async () => {
  that('a megabyte', (await ask(LONG)).text.includes(`[${LONG.length} characters`));
});
await check('usage', async () => {
  for (const [name, by] of both) that(`${name}: countTokens`, (await by.models.countTokens({ model: MODEL, contents: 'Hello there' })).totalTokens > 0);
});
await check('models', async () => {
  for (const [name, by] of both) {
    const names = (await collect(await by.models.list())).map(m => m.name);
    that(`${name}: the public names`, [MODEL, PICTURE_MODEL].every(m => names.includes(`models/${m}`)), names);
    that(`${name}: one by its name`, (await by.models.get({ model: MODEL })).name === `models/${MODEL}`);
    await raised(`${name}: an unknown one`, status(404), () => by.models.get({ model: 'nobody' }));
  }
});
await check('unknown model', async () => {
  for (const [name, by] of both) {
    const error = await raised(`${name}: ApiError 404`, status(404), () => ask('Hi', undefined, by, 'gemini-17'));
    that(`${name}: names it and the known ones`, error.message.includes('gemini-17') && error.message.includes(MODEL), error);
  }
  await raised('streamed', status(404), () => streamed('Hi', undefined, client, 'gemini-17'));
});
await check('wrong key', async () => {
  const other = made({}, 'wrong-key');
  const error = await raised('ApiError', e => e instanceof ApiError && [400, 401, 403].includes(e.status), () => ask('Hi', undefined, other));
  that('says key, and not which', /key/i.test(error.message) && !error.message.includes('wrong-key'), error);
});
await check('image input', async () => {
  for (const [name, by] of both) {
    const { text } = await ask([{ text: 'What?' }, { inlineData: { mimeType: 'image/png', data: base64() } }], undefined, by);
    that(name, text.includes(`image/png ${png().length} bytes`), text);
  }
});
await check('thinking', async () => {
  await reply('42', { thoughts: 'Let me think.' });
  const answer = await ask('Deep?', { thinkingConfig: { includeThoughts: true } });
  that('thought parts', answer.candidates[0].content.parts.filter(p => p.thought).map(p => p.text).join('').trim() === 'Let me think.', answer);
  that('the text alone', answer.text === '42', answer);
});
await check('tools auto', async () => {
  for (const [name, by] of both) {
    const answer = await ask('What is the weather in Paris?', { tools }, by);
    that(`${name}: unscripted: a call`, callsOf(answer).map(c => c[0]).join() === 'get_weather', answer);
  }
  await reply('Just words.');
  that('prose', (await ask('Hello', { tools })).text === 'Just words.');
});
await check('tools forced', async () => {
  that('ANY: a call', callsOf(await ask('Hello', calling(FunctionCallingConfigMode.ANY))).length);
});
await check('tools named', async () => {
  const answer = await ask('Hello', calling(FunctionCallingConfigMode.ANY, ['get_time']));
  that('the named one', callsOf(answer).map(c => c[0]).join() === 'get_time', answer);
});
const two = [['get_weather', { city: 'Rome' }], ['get_time', { zone: UNICODE }]];
await check('tools parallel', async () => {
  await reply(callText(...two));
  const answer = await ask('Both', { tools });
  that('two in order', same(callsOf(answer), two), answer);
});
await check('tools result', async () => {
  await reply(callText(two[0]));
  const first = await ask('Weather?', { tools });
  const history = [{ role: 'user', parts: [{ text: 'Weather?' }] }, first.candidates[0].content,
    { role: 'user', parts: [{ functionResponse: { name: 'get_weather', id: first.functionCalls?.[0].id, response: { output: 'sunny & <b>21</b>' } } }] }];
  const { text } = await ask(history);
  that('the result reaches the model', text.includes('sunny & <b>21</b>'), text);
  that('then words', (await ask(history, { tools })).text);
});
await check('tools stream', async () => {
  await reply('First. \n' + callText(...two), { frames: 20 });
  const chunks = await streamed('Both', { tools });
  that('calls in order', same(chunks.flatMap(callsOf), two), chunks);
  that('text before', chunks.flatMap(c => c.candidates[0].content?.parts ?? []).map(p => p.text ?? '').join('').trim() === 'First.', chunks);
});
const schema = { type: Type.OBJECT, properties: { name: { type: Type.STRING }, people: { type: Type.INTEGER }, mayor: { type: Type.STRING, nullable: true } }, required: ['name', 'people'] };
await check('json schema', async () => {
  const config = { responseMimeType: 'application/json', responseSchema: schema };
  await reply(['{"name": "Paris"}', '{"name": "Paris", "people": 2, "mayor": null}']);
  that('what breaks the schema is asked again', same(JSON.parse((await ask('Paris', config)).text), { name: 'Paris', people: 2, mayor: null }));
  const free = JSON.parse((await ask('Paris', config)).text);
  that('unscripted', typeof free.name === 'string' && Number.isInteger(free.people), free);
  await reply('{"name": "Paris"}');
  const json = { responseMimeType: 'application/json', responseJsonSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } };
  that('responseJsonSchema', same(JSON.parse(textOf(await streamed('Paris', json))), { name: 'Paris' }));
});
await check('picture', async () => {
  const answer = await ask('a red kite', { responseModalities: ['IMAGE'] }, client, PICTURE_MODEL);
  that('inline data', isPicture(Buffer.from(answer.data, 'base64')), JSON.stringify(answer).slice(0, 300));
  const edited = await ask([{ inlineData: { mimeType: 'image/png', data: base64() } }, { text: 'add a hat to this image' }], undefined, client, PICTURE_MODEL);
  that('edited', isPicture(Buffer.from(edited.data, 'base64')), JSON.stringify(edited).slice(0, 300));
});
await check('unsupported', async () => {
  const error = await raised('embedContent: ApiError', e => e instanceof ApiError && e.status >= 400 && e.status < 502, () => client.models.embedContent({ model: MODEL, contents: 'x' }));
  that('a clear message', error.message.length > 30 && !error.message.includes('<html'), error);
});
await check('rate limit', async () => {
  const tight = made({ baseUrl: TIGHT_URL }, 'none');
  await ask('Hi', undefined, tight, OTHER_MODEL);
  const error = await raised('ApiError 429', status(429), () => ask('Hi', undefined, tight, OTHER_MODEL));
  that('RetryInfo', /RetryInfo/.test(error.message) && /"retryDelay":\s*"\d+s"/.test(error.message), error);
  const patient = made({ baseUrl: TIGHT_URL, retryOptions: { attempts: 5 } }, 'none');
  that('with retryOptions it succeeds', (await ask('Hi', undefined, patient, OTHER_MODEL)).text);
});
await check('upstream fault', async () => {
  for (const kind of ['truncate', 'drop_mid']) {
    await reset();
    await defaults({ words: 300, frames: 12 });
    await fault(kind, { frames: 3 });
    const got = [];
    await raised(`${kind}: an exception while streaming`, e => e instanceof Error, async () => { for await (const c of await client.models.generateContentStream({ model: MODEL, contents: 'Hello' })) got.push(c); return got.length; });
    that(`${kind}: after content`, textOf(got));
  }
  await reset();
  await fault('error_1013', { times: 1 });
  that('before content it is not noticed', (await ask('Hello')).text.includes('Hello'));
});
await check('cancel', async () => {
  await defaults({ words: 400, frames: 40, frame_delay: 0.2 });
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 1500);
  await raised('abortSignal', e => e instanceof Error, () => streamed('Hello', { abortSignal: abort.signal }));
  that('the upstream is left at once', await left(), await prompts());
});
