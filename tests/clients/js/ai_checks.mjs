// What the AI SDK's providers have in common. `ai` and `zod` are passed in: they belong to the folder of the caller.
import {
  LONG, MODEL, UNICODE, callText, check, collect, defaults, fault, inOrder, left, png, prompts, raised, reply, reset, same, that,
} from './checks.mjs';

const PARIS = { name: 'Paris', country: 'France', people: 2, mayor: null };

/**
 * @param ai the package `ai`
 * @param z zod
 * @param model (name, {key, tight}) => what `ai` takes as a language model
 * @param quirks thinking: providerOptions that ask for thoughts; tight: a model name for the rate limit;
 *   reasoning: whether the provider reads thoughts; deep: whether it passes the wish for extended thinking on
 */
export async function aiChecks(ai, z, model, quirks) {
  const { generateText, streamText, tool, APICallError, Output, stepCountIs } = ai;
  const ask = (prompt, options = {}) => generateText({ model: model(MODEL), prompt, maxRetries: 0, ...options });
  // The errors are read from the stream; onError keeps them off the console.
  const streamed = async (prompt, options = {}) => streamText({ model: model(MODEL), prompt, maxRetries: 0, onError() {}, ...options });
  const City = z.object({ name: z.string(), country: z.enum(['France', 'Italy']), people: z.number(), mayor: z.string().nullable() });
  const tools = () => ({
    get_weather: tool({ description: 'The weather in a city', inputSchema: z.object({ city: z.string() }) }),
    get_time: tool({ description: 'The time', inputSchema: z.object({ zone: z.string() }) }),
  });
  const callsOf = calls => calls.map(c => [c.toolName, c.input]);
  const two = [['get_weather', { city: 'Rome' }], ['get_time', { zone: UNICODE }]];

  await check('text', async () => {
    const answer = await ask('Hello there');
    that('answers', answer.text.includes('You said: Hello there'), answer.text);
    that('finishReason', answer.finishReason === 'stop', answer.finishReason);
    that('usage', answer.usage.totalTokens > 0 && answer.usage.inputTokens > 0, answer.usage);
    that('no warnings', !(answer.warnings ?? []).length, answer.warnings);
    const many = await Promise.all([1, 2, 3, 4].map(n => ask(`Number ${n}`)));
    that('four at once', many.every((a, n) => a.text.includes(`Number ${n + 1}`)));
  });
  await check('stream', async () => {
    await defaults({ frames: 8, frame_delay: 0.05, words: 80 });
    const answer = await streamed('Hello there');
    const pieces = await collect(answer.textStream);
    that('adds up', pieces.join('').startsWith('You said: Hello there'), pieces);
    that('in several pieces', pieces.length > 4, pieces.length);
    that('finishReason', (await answer.finishReason) === 'stop', await answer.finishReason);
    that('usage', (await answer.usage).totalTokens > 0, await answer.usage);
    await defaults({ first_delay: 2 });
    that('keep-alives harm nothing', (await collect((await streamed('Slow')).textStream)).join('').includes('You said: Slow'));
  });
  await check('system', async () => {
    const { text } = await ask('Hi', { system: 'Be a pirate' });
    that('reaches the model', text.includes('Be a pirate'), text);
  });
  await check('turns', async () => {
    const { text } = await ask(undefined, { messages: [{ role: 'user', content: 'My name is Ada' }, { role: 'assistant', content: 'Hello Ada' }, { role: 'user', content: 'What is my name?' }] });
    that('in their order', inOrder(text, 'My name is Ada', 'Hello Ada', 'What is my name?'), text);
  });
  await check('unicode', async () => {
    that('as it was sent', (await ask(UNICODE)).text.includes(UNICODE));
    await reply(UNICODE, { frames: 40 });
    const text = (await collect((await streamed('Say it')).textStream)).join('');
    that('in forty pieces', text === UNICODE, text);
  });
  await check('long prompt', async () => {
    that('a megabyte', (await ask(LONG)).text.includes(`[${LONG.length} characters`));
  });
  await check('unknown model', async () => {
    const error = await raised('APICallError 404', e => APICallError.isInstance(e) && e.statusCode === 404, () => ask('Hi', { model: model('gemini-17') }));
    that('the message is read from the body', error.message.includes('gemini-17') && error.message.includes(MODEL), error);
    that('not to be repeated', error.isRetryable === false, error);
  });
  await check('wrong key', async () => {
    const error = await raised('APICallError', e => APICallError.isInstance(e) && [400, 401, 403].includes(e.statusCode), () => ask('Hi', { model: model(MODEL, { key: 'wrong-key' }) }));
    that('says key, and not which', /key/i.test(error.message) && !error.message.includes('wrong-key'), error);
  });
  await check('image input', async () => {
    const content = [{ type: 'text', text: 'What?' }, { type: 'image', image: png(), mediaType: 'image/png' }];
    const { text } = await ask(undefined, { messages: [{ role: 'user', content }] });
    that('arrives', text.includes(`image/png ${png().length} bytes`), text);
  });
  await check('thinking', async () => {
    await reply('42', { thoughts: 'Let me think.' });
    const answer = await ask('Deep?', { providerOptions: quirks.thinking });
    if (quirks.reasoning) that('reasoningText', answer.reasoningText?.trim() === 'Let me think.', answer.reasoningText);
    that('the text alone', answer.text === '42', answer.text);
    that('extended thinking was asked for', (await prompts()).at(-1).thinking === quirks.deep, await prompts());
    await reply('42', { thoughts: 'Let me think.' });
    const stream = await streamed('Deep?', { providerOptions: quirks.thinking });
    that('the text alone, streamed', (await collect(stream.textStream)).join('') === '42');
    if (quirks.reasoning) that('reasoning, streamed', (await stream.reasoningText)?.trim() === 'Let me think.', await stream.reasoningText);
  });
  await check('tools auto', async () => {
    const answer = await ask('What is the weather in Paris?', { tools: tools() });
    that('unscripted: a call', answer.toolCalls.map(c => c.toolName).join() === 'get_weather', answer.toolCalls);
    that('finishReason', answer.finishReason === 'tool-calls', answer.finishReason);
    await reply('Just words.');
    that('prose', (await ask('Hello', { tools: tools() })).text === 'Just words.');
  });
  await check('tools forced', async () => {
    that('required: a call', (await ask('Hello', { tools: tools(), toolChoice: 'required' })).toolCalls.length);
    await reply(['I would rather talk.', callText(two[0])]);
    const { toolCalls } = await ask('Hello', { tools: tools(), toolChoice: 'required' });
    that('prose is asked again', same(callsOf(toolCalls), [two[0]]), toolCalls);
  });
  await check('tools named', async () => {
    const { toolCalls } = await ask('Hello', { tools: tools(), toolChoice: { type: 'tool', toolName: 'get_time' } });
    that('the named one', toolCalls.map(c => c.toolName).join() === 'get_time', toolCalls);
  });
  await check('tools parallel', async () => {
    await reply(callText(...two));
    const { toolCalls } = await ask('Both', { tools: tools() });
    that('two in order', same(callsOf(toolCalls), two), toolCalls);
  });
  const running = seen => ({ get_weather: tool({ description: 'The weather', inputSchema: z.object({ city: z.string() }), execute: async input => { seen.push(input.city); return { sky: 'sunny & <b>', degrees: 21 }; } }) });
  await check('tools result', async () => {
    const seen = [];
    await reply([callText(['get_weather', { city: 'Rome' }], ['get_weather', { city: 'Oslo' }]), 'It is sunny.']);
    const answer = await ask('Weather?', { tools: running(seen), stopWhen: stepCountIs(3) });
    that('the function ran twice', same([...seen].sort(), ['Oslo', 'Rome']), seen);
    that('then words', answer.text === 'It is sunny.', answer.text);
    const { text } = await ask(undefined, { messages: [{ role: 'user', content: 'Weather?' }, ...answer.steps[0].response.messages, { role: 'user', content: 'And so?' }] });
    that('the results reach the model', text.includes('sunny & <b>') && text.includes('21'), text);
  });
  await check('tools stream', async () => {
    await reply('First. \n' + callText(...two), { frames: 20 });
    const stream = await streamed('Both', { tools: tools() });
    that('text before', (await collect(stream.textStream)).join('').trim() === 'First.');
    that('calls add up', same(callsOf(await stream.toolCalls), two), await stream.toolCalls);
    that('finishReason', (await stream.finishReason) === 'tool-calls', await stream.finishReason);
    const seen = [];
    await reply([callText(['get_weather', { city: 'Rome' }]), 'It is sunny.']);
    const steps = await streamed('Weather?', { tools: running(seen), stopWhen: stepCountIs(3) });
    that('in steps', (await collect(steps.textStream)).join('').trim() === 'It is sunny.' && same(seen, ['Rome']), seen);
  });
  await check('json schema', async () => {
    const object = () => ask('Paris', { output: Output.object({ schema: City }) });
    await reply(['{"name": "Paris"}', JSON.stringify(PARIS)]);
    that('what breaks the schema is asked again', same((await object()).output, PARIS));
    that('unscripted', City.safeParse((await object()).output).success);
    await reply(JSON.stringify(PARIS));
    const stream = await streamed('Paris', { output: Output.object({ schema: City }) });
    await collect(stream.partialOutputStream);
    that('streamed', same(await stream.output, PARIS), await stream.output);
    await reply('{"elements": [' + JSON.stringify(PARIS) + ']}');
    that('an array', same((await ask('Paris', { output: Output.array({ element: City }) })).output, [PARIS]));
    await reply('{"result": "Italy"}');
    that('a choice', (await ask('Which?', { output: Output.choice({ options: ['France', 'Italy'] }) })).output === 'Italy');
  });
  await check('tools and json', async () => {
    const seen = [];
    await reply([callText(['get_weather', { city: 'Rome' }]), JSON.stringify(PARIS)]);
    const answer = await ask('Paris', { tools: running(seen), stopWhen: stepCountIs(3), output: Output.object({ schema: City }) });
    that('a call, then JSON', same(seen, ['Rome']) && same(answer.output, PARIS), answer.text);
  });
  if (ai.ToolLoopAgent) {
    await check('agent', async () => {
      const seen = [];
      const agent = new ai.ToolLoopAgent({ model: model(MODEL), instructions: 'Be brief', tools: running(seen), maxRetries: 0 });
      await reply([callText(['get_weather', { city: 'Rome' }]), callText(['get_weather', { city: 'Oslo' }]), 'Both are sunny.']);
      const { text } = await agent.generate({ prompt: 'Weather in Rome, then in Oslo?' });
      that('two steps of tools, then words', text === 'Both are sunny.' && same(seen, ['Rome', 'Oslo']), [text, seen]);
    });
  }
  if (ai.generateObject) {
    await check('json object', async () => {
      await reply(JSON.stringify(PARIS));
      const { object } = await ai.generateObject({ model: model(MODEL), schema: City, prompt: 'Paris', maxRetries: 0 });
      that('generateObject', same(object, PARIS), object);
      await reply(JSON.stringify(PARIS), { frames: 12 });
      const stream = ai.streamObject({ model: model(MODEL), schema: City, prompt: 'Paris', maxRetries: 0, onError() {} });
      await collect(stream.partialObjectStream);
      that('streamObject', same(await stream.object, PARIS), await stream.object);
    });
  }
  await check('rate limit', async () => {
    const tight = model(quirks.tight, { tight: true });
    await ask('Hi', { model: tight });
    await raised('APICallError 429, to be repeated', e => APICallError.isInstance(e) && e.statusCode === 429 && e.isRetryable, () => ask('Hi', { model: tight }));
    const begun = Date.now();
    that('with its default retries it waits and succeeds', (await ask('Hi', { model: tight, maxRetries: 2 })).text && Date.now() - begun < 6000, Date.now() - begun);
  });
  await check('upstream fault', async () => {
    for (const kind of ['truncate', 'drop_mid']) {
      await reset();
      await defaults({ words: 300, frames: 12 });
      await fault(kind, { frames: 3 });
      const parts = await collect((await streamed('Hello')).fullStream);
      that(`${kind}: an error part`, parts.some(p => p.type === 'error'), parts.slice(-3));
      that(`${kind}: after content`, parts.some(p => p.type === 'text-delta'), parts.slice(-3));
      that(`${kind}: its message is ours`, /answer|upstream|account/i.test(JSON.stringify(parts.find(p => p.type === 'error')?.error ?? '') + String(parts.find(p => p.type === 'error')?.error?.message ?? '')), parts.find(p => p.type === 'error'));
    }
    await reset();
    await fault('error_1013', { times: 1 });
    that('before content it is not noticed', (await ask('Hello')).text.includes('Hello'));
  });
  await check('cancel', async () => {
    await defaults({ words: 400, frames: 40, frame_delay: 0.2 });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 1500);
    const parts = await collect((await streamed('Hello', { abortSignal: abort.signal })).fullStream);
    that('an abort part', parts.some(p => p.type === 'abort'), parts.slice(-2));
    that('the upstream is left at once', await left(), await prompts());
  });
}
