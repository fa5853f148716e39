// CherryStudio's core, @cherrystudio/ai-core, with the providers that CherryStudio makes of a custom endpoint.
import { createExecutor, generateImage } from '@cherrystudio/ai-core';
import * as ai from 'ai';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { aiChecks } from '../ai_checks.mjs';
import { KEY, PICTURE_MODEL, TIGHT_URL, URL_, begin, check, isPicture, that } from '../checks.mjs';

const version = name => JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version;

// The core's executors in the shape of the SDK's functions: a model is a name and the options of its provider.
const cherry = provider => ({
  ...ai,
  generateObject: undefined, // the core has neither
  ToolLoopAgent: undefined,
  generateText: async ({ model, ...params }) => (await createExecutor(provider, model.options)).generateText({ model: model.name, ...params }),
  streamText: async ({ model, ...params }) => (await createExecutor(provider, model.options)).streamText({ model: model.name, ...params }),
});
const at = path => (name, { key = KEY, tight = false } = {}) => ({ name, options: { name: 'gempool', baseURL: (tight ? TIGHT_URL : URL_) + path, apiKey: key, includeUsage: true, supportsStructuredOutputs: true } });

begin('cherrystudio compatible', { '@cherrystudio/ai-core': version('@cherrystudio/ai-core'), 'ai (cherrystudio)': version('ai') });
await aiChecks(cherry('openai-compatible'), z, at('/v1'), { thinking: { gempool: { reasoningEffort: 'high' } }, reasoning: true, deep: true, tight: 'gemini-2.5-flash' });
await check('picture', async () => {
  const { images } = await generateImage('openai-compatible', at('/v1')('').options, { model: PICTURE_MODEL, prompt: 'a red kite' });
  that('one', isPicture(images[0].uint8Array));
});

begin('cherrystudio google');
await aiChecks(cherry('google'), z, at('/gemini/v1beta'), { thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 8192 } } }, reasoning: true, deep: true, tight: 'gemini-2.5-pro' });
await check('picture', async () => {
  const answer = await cherry('google').generateText({ model: at('/gemini/v1beta')(PICTURE_MODEL), prompt: 'generate an image of a kite', providerOptions: { google: { responseModalities: ['TEXT', 'IMAGE'] } } });
  that('files of a text', answer.files.length === 1 && isPicture(answer.files[0].uint8Array), answer.files.length);
});

begin('cherrystudio openai');
await aiChecks(cherry('openai-chat'), z, at('/v1'), { thinking: { openai: { reasoningEffort: 'high', forceReasoning: true } }, reasoning: false, deep: true, tight: 'gemini-3.0-pro' });
