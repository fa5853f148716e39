// openai for Node: chat, responses, pictures, models, errors.
import OpenAI, { toFile } from 'openai';
import { VERSION } from 'openai/version';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import {
  KEY, LONG, MODEL, OTHER_MODEL, PICTURE_MODEL, PRO_MODEL, TIGHT_URL, UNICODE, URL_, base64, begin, callText, check, collect, control, dataUrl,
  defaults, fault, inOrder, isPicture, left, png, prompts, raised, reply, reset, same, sleep, that,
} from '../checks.mjs';

begin('openai-js', { 'openai (js)': VERSION });
const client = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: KEY, maxRetries: 0 });
const messages = content => [{ role: 'user', content }];
const ask = (content, options = {}) => client.chat.completions.create({ model: MODEL, messages: messages(content), ...options });
const textOf = chunks => chunks.map(c => c.choices[0]?.delta.content ?? '').join('');
const is = kind => error => error instanceof kind;
const tool = (name, key) => ({ type: 'function', function: { name, description: 'Tells it', parameters: { type: 'object', properties: { [key]: { type: 'string' } }, required: [key], additionalProperties: false } } });
const tools = [tool('get_weather', 'city'), tool('get_time', 'zone')];
const callsOf = message => (message.tool_calls ?? []).map(c => [c.function.name, JSON.parse(c.function.arguments)]);

await check('text', async () => {
  const answer = await ask('Hello there');
  that('answers', answer.choices[0].message.content.includes('You said: Hello there'), answer);
  that('finish_reason', answer.choices[0].finish_reason === 'stop', answer);
  that('object, id, model', answer.object === 'chat.completion' && answer.id && answer.model === MODEL, answer);
  that('_request_id', answer._request_id, answer);
  const { data, response } = await ask('Hi').withResponse();
  that('withResponse', data.id && response.status === 200 && response.headers.get('x-request-id'));
  const many = await Promise.all([1, 2, 3, 4].map(n => ask(`Number ${n}`)));
  that('four at once', many.every((a, n) => a.choices[0].message.content.includes(`Number ${n + 1}`)));
});
await check('stream', async () => {
  await defaults({ frames: 8, frame_delay: 0.05, words: 80 });
  const begun = Date.now();
  let first;
  const chunks = [];
  for await (const chunk of await ask('Hello there', { stream: true })) { chunks.push(chunk); if (chunk.choices[0].delta.content) first ??= Date.now() - begun; }
  that('adds up', textOf(chunks).startsWith('You said: Hello there'), textOf(chunks));
  that('grows over time', Date.now() - begun - first > 150 && chunks.length > 4, chunks.length);
  that('one id', new Set(chunks.map(c => c.id)).size === 1);
  that('role first, finish last', chunks[0].choices[0].delta.role === 'assistant' && chunks.at(-1).choices[0].finish_reason === 'stop', chunks.at(-1));
  that('no usage unasked', chunks.every(c => c.choices.length && !c.usage));
  const helper = client.chat.completions.stream({ model: MODEL, messages: messages('Hi') });
  that('the helper', (await helper.finalContent()).includes('You said: Hi'));
  await defaults({ first_delay: 2 });
  that('keep-alives harm nothing', textOf(await collect(await ask('Slow', { stream: true }))).includes('You said: Slow'));
});
await check('system', async () => {
  for (const role of ['system', 'developer']) {
    const text = (await ask('', { messages: [{ role, content: 'Speak like a pirate' }, ...messages('Hi')] })).choices[0].message.content;
    that(role, text.includes('Speak like a pirate'), text);
  }
});
await check('turns', async () => {
  const text = (await ask('', { messages: [...messages('My name is Ada'), { role: 'assistant', content: 'Hello Ada' }, ...messages('What is my name?')] })).choices[0].message.content;
  that('in their order', inOrder(text, 'My name is Ada', 'Hello Ada', 'What is my name?'), text);
});
await check('unicode', async () => {
  that('as it was sent', (await ask(UNICODE)).choices[0].message.content.includes(UNICODE));
  await reply(UNICODE, { frames: 40 });
  const text = textOf(await collect(await ask('Say it', { stream: true })));
  that('in forty pieces', text === UNICODE, text);
});
await check('long prompt', async () => {
  that('a megabyte', (await ask(LONG)).choices[0].message.content.includes(`[${LONG.length} characters`));
});
await check('usage', async () => {
  const { usage } = await ask('Hello there');
  that('adds up', usage.prompt_tokens > 0 && usage.total_tokens === usage.prompt_tokens + usage.completion_tokens, usage);
  const chunks = await collect(await ask('Hello there', { stream: true, stream_options: { include_usage: true } }));
  that('streamed when asked for', chunks.at(-1).usage.total_tokens === usage.total_tokens && !chunks.at(-1).choices.length, chunks.at(-1));
});
await check('models', async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  that('the public names', [MODEL, OTHER_MODEL, PICTURE_MODEL].every(id => ids.includes(id)), ids);
  that('one by its name', (await client.models.retrieve(MODEL)).id === MODEL);
  await raised('an unknown one', is(OpenAI.NotFoundError), () => client.models.retrieve('nobody'));
});
await check('unknown model', async () => {
  const error = await raised('NotFoundError', is(OpenAI.NotFoundError), () => ask('Hi', { model: 'gpt-17' }));
  that('names it and the known ones', error.message.includes('gpt-17') && error.message.includes(MODEL), error);
  that('code', error.code === 'model_not_found', error);
  await raised('streamed', is(OpenAI.NotFoundError), () => ask('Hi', { model: 'gpt-17', stream: true }));
});
await check('wrong key', async () => {
  const other = new OpenAI({ baseURL: `${URL_}/v1`, apiKey: 'wrong-key', maxRetries: 0 });
  const error = await raised('AuthenticationError', is(OpenAI.AuthenticationError), () => other.models.list());
  that('says key, and not which', /key/i.test(error.message) && !error.message.includes('wrong-key'), error);
});
await check('bad input', async () => {
  const error = await raised('BadRequestError', is(OpenAI.BadRequestError), () => ask('', { messages: [] }));
  that('param', error.param === 'messages', error);
  that('requestID', error.requestID, error);
});
await check('image input', async () => {
  const content = [{ type: 'text', text: 'What?' }, { type: 'image_url', image_url: { url: dataUrl() } }];
  const text = (await ask(content)).choices[0].message.content;
  that('arrives', text.includes(`image/png ${png().length} bytes`), text);
});
await check('thinking', async () => {
  await reply('42', { thoughts: 'Let me think.' });
  const { message } = (await ask('Deep?', { reasoning_effort: 'high' })).choices[0];
  that('reasoning_content', message.reasoning_content?.trim() === 'Let me think.' && message.content === '42', message);
});
await check('tools auto', async () => {
  const answer = (await ask('What is the weather in Paris?', { tools })).choices[0];
  that('unscripted: a call', callsOf(answer.message).map(c => c[0]).join() === 'get_weather', answer);
  that('finish_reason', answer.finish_reason === 'tool_calls', answer);
  await reply('Just words.');
  that('prose', (await ask('Hello', { tools })).choices[0].message.content === 'Just words.');
});
await check('tools forced', async () => {
  that('required: a call', callsOf((await ask('Hello', { tools, tool_choice: 'required' })).choices[0].message).length);
});
await check('tools named', async () => {
  const answer = (await ask('Hello', { tools, tool_choice: { type: 'function', function: { name: 'get_time' } } })).choices[0];
  that('the named one', callsOf(answer.message).map(c => c[0]).join() === 'get_time', answer);
});
const both = callText(['get_weather', { city: 'Rome' }], ['get_time', { zone: UNICODE }]);
const made = [['get_weather', { city: 'Rome' }], ['get_time', { zone: UNICODE }]];
await check('tools parallel', async () => {
  await reply(both);
  const answer = (await ask('Both', { tools })).choices[0];
  that('two in order', same(callsOf(answer.message), made), answer);
});
await check('tools result', async () => {
  const seen = [];
  const run = name => ({ type: 'function', function: { name, parse: JSON.parse, description: 'Tells it', parameters: tool(name, 'city').function.parameters, function: args => { seen.push(args); return 'sunny & <b>21</b>'; } } });
  await reply([callText(['get_weather', { city: 'Rome' }]), 'It is sunny.']);
  const runner = client.chat.completions.runTools({ model: MODEL, messages: messages('Weather?'), tools: [run('get_weather')] });
  that('runTools: the last words', (await runner.finalContent()) === 'It is sunny.');
  that('runTools: the function ran', same(seen, [{ city: 'Rome' }]), seen);
  const text = (await ask('', { messages: runner.messages })).choices[0].message.content;
  that('the result reaches the model', text.includes('sunny & <b>21</b>'), text);
});
await check('tools stream', async () => {
  await reply('First. \n' + both, { frames: 20 });
  const stream = client.chat.completions.stream({ model: MODEL, messages: messages('Both'), tools });
  const final = (await stream.finalChatCompletion()).choices[0];
  that('calls add up', same(callsOf(final.message), made), final);
  that('text before', final.message.content?.trim() === 'First.', final);
  that('finish_reason', final.finish_reason === 'tool_calls', final);
});
const City = z.object({ name: z.string(), country: z.enum(['France', 'Italy']), people: z.number(), mayor: z.string().nullable() });
const paris = { name: 'Paris', country: 'France', people: 2, mayor: null };
await check('json object', async () => {
  await reply('```json\n{"a": 1}\n```');
  const text = (await ask('JSON', { response_format: { type: 'json_object' } })).choices[0].message.content;
  that('an object', same(JSON.parse(text), { a: 1 }), text);
});
await check('json schema', async () => {
  const parse = () => client.chat.completions.parse({ model: MODEL, messages: messages('Paris'), response_format: zodResponseFormat(City, 'city') });
  await reply(['{"name": "Paris"}', JSON.stringify(paris)]);
  that('what breaks the schema is asked again', same((await parse()).choices[0].message.parsed, paris));
  that('unscripted', City.safeParse((await parse()).choices[0].message.parsed).success);
  await reply(JSON.stringify(paris));
  const stream = client.chat.completions.stream({ model: MODEL, messages: messages('Paris'), response_format: zodResponseFormat(City, 'city') });
  that('streamed', same((await stream.finalChatCompletion()).choices[0].message.parsed, paris));
});
await check('responses', async () => {
  const answer = await client.responses.create({ model: MODEL, input: 'Hello there', instructions: 'Be a pirate' });
  that('output_text', answer.output_text.includes('Hello there') && answer.output_text.includes('Be a pirate'), answer);
  that('usage', answer.usage.total_tokens > 0, answer.usage);
  await reply(callText(['get_weather', { city: 'Rome' }]));
  const called = await client.responses.create({ model: MODEL, input: 'Weather?', tools: [{ type: 'function', strict: true, ...tools[0].function }] });
  const calls = called.output.filter(i => i.type === 'function_call');
  that('a function call', calls[0]?.name === 'get_weather' && calls[0].call_id, called.output);
  const next = await client.responses.create({ model: MODEL, input: [...messages('Weather?'), ...called.output, { type: 'function_call_output', call_id: calls[0]?.call_id, output: 'sunny, 21' }] });
  that('its output reaches the model', next.output_text.includes('sunny, 21'), next.output_text);
  await reply(JSON.stringify(paris));
  const parsed = await client.responses.parse({ model: MODEL, input: 'Paris', text: { format: zodTextFormat(City, 'city') } });
  that('parse', same(parsed.output_parsed, paris), parsed);
  await raised('unknown model', is(OpenAI.NotFoundError), () => client.responses.create({ model: 'gpt-17', input: 'x' }));
});
await check('responses stream', async () => {
  const events = await collect(await client.responses.create({ model: MODEL, input: 'Hello there', stream: true }));
  that('from created to completed', events[0].type === 'response.created' && events.at(-1).type === 'response.completed', events.map(e => e.type));
  that('deltas add up', events.filter(e => e.type === 'response.output_text.delta').map(e => e.delta).join('').includes('You said: Hello there'));
  const helper = client.responses.stream({ model: MODEL, input: 'Hi' });
  that('the helper', (await helper.finalResponse()).output_text.includes('You said: Hi'));
  await reply(callText(['get_weather', { city: 'Rome' }]));
  const called = await client.responses.stream({ model: MODEL, input: 'Weather?', tools: [{ type: 'function', strict: true, ...tools[0].function }] }).finalResponse();
  that('a streamed call', called.output.some(i => i.type === 'function_call' && same(JSON.parse(i.arguments), { city: 'Rome' })), called.output);
});
await check('picture', async () => {
  const image = (await client.images.generate({ model: PICTURE_MODEL, prompt: 'a red kite' })).data[0];
  that('b64_json', isPicture(Buffer.from(image.b64_json, 'base64')));
  const { url } = (await client.images.generate({ model: PICTURE_MODEL, prompt: 'a red kite', response_format: 'url' })).data[0];
  that('url', isPicture(Buffer.from(await (await fetch(url)).arrayBuffer())), url);
  await control('POST', '/replies', { picture_reply: 'refusal' });
  await raised('a refusal', is(OpenAI.BadRequestError), () => client.images.generate({ model: PICTURE_MODEL, prompt: 'a red kite' }));
});
await check('picture edit', async () => {
  const one = await client.images.edit({ model: PICTURE_MODEL, image: await toFile(png(), 'a.png', { type: 'image/png' }), prompt: 'add a hat' });
  that('one', isPicture(Buffer.from(one.data[0].b64_json, 'base64')));
  await client.images.edit({ model: PICTURE_MODEL, image: [await toFile(png(), 'a.png', { type: 'image/png' }), await toFile(png(20, 20), 'b.png', { type: 'image/png' })], prompt: 'add both' });
  that('two pictures sent', (await prompts()).at(-1).uploads.length === 2);
});
await check('unsupported', async () => {
  const error = await raised('embeddings: NotFoundError', is(OpenAI.NotFoundError), () => client.embeddings.create({ model: MODEL, input: 'x' }));
  that('a clear message', error.message.length > 30, error);
  await raised('moderations: NotFoundError', is(OpenAI.NotFoundError), () => client.moderations.create({ input: 'x' }));
});
await check('rate limit', async () => {
  const tight = maxRetries => new OpenAI({ baseURL: `${TIGHT_URL}/v1`, apiKey: 'none', maxRetries }).chat.completions.create({ model: PRO_MODEL, messages: messages('Hi') });
  await tight(0);
  const error = await raised('RateLimitError', is(OpenAI.RateLimitError), () => tight(0));
  that('Retry-After', Number(error.headers?.get('retry-after')) >= 1, error);
  const begun = Date.now();
  await tight(2);
  that('with its default retries it waits and succeeds', Date.now() - begun < 6000, Date.now() - begun);
});
await check('upstream fault', async () => {
  for (const kind of ['truncate', 'drop_mid']) {
    await reset();
    await defaults({ words: 300, frames: 12 });
    await fault(kind, { frames: 3 });
    const got = [];
    await raised(`${kind}: an exception while streaming`, is(Error), async () => { for await (const c of await ask('Hello', { stream: true })) got.push(c); return got.length; });
    that(`${kind}: after content`, textOf(got));
  }
  await reset();
  await fault('error_1013', { times: 1 });
  that('before content it is not noticed', (await ask('Hello')).choices[0].message.content.includes('Hello'));
});
await check('cancel', async () => {
  await defaults({ words: 400, frames: 40, frame_delay: 0.2 });
  const stream = await ask('Hello', { stream: true });
  for await (const c of stream) if (c.choices[0].delta.content) break;
  that('the upstream is left at once', await left(), await prompts());
  const abort = new AbortController();
  await defaults({ first_delay: 10 });
  const asked = client.chat.completions.create({ model: MODEL, messages: messages('Slow') }, { signal: abort.signal });
  setTimeout(() => abort.abort(), 1000);
  await raised('an AbortSignal', is(OpenAI.APIUserAbortError), () => asked);
  that('the upstream is left', await left(), await prompts());
});
