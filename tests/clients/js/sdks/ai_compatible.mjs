// AI SDK with @ai-sdk/openai-compatible.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import * as ai from 'ai';
import { z } from 'zod';
import { aiChecks } from '../ai_checks.mjs';
import { KEY, PICTURE_MODEL, TIGHT_URL, URL_, begin, check, isPicture, png, that } from '../checks.mjs';
import { versions } from './versions.mjs';

const provider = ({ key = KEY, tight = false } = {}) =>
  createOpenAICompatible({ name: 'gempool', baseURL: `${tight ? TIGHT_URL : URL_}/v1`, apiKey: key, includeUsage: true, supportsStructuredOutputs: true });

begin('ai-sdk compatible', versions('@ai-sdk/openai-compatible'));
await aiChecks(ai, z, (name, options) => provider(options)(name), { thinking: { gempool: { reasoningEffort: 'high' } }, reasoning: true, deep: true, tight: 'gemini-3.0-pro' });
await check('picture', async () => {
  const { images } = await ai.generateImage({ model: provider().imageModel(PICTURE_MODEL), prompt: 'a red kite', maxRetries: 0 });
  that('one', isPicture(images[0].uint8Array));
});
await check('picture edit', async () => {
  const { images } = await ai.generateImage({ model: provider().imageModel(PICTURE_MODEL), prompt: { text: 'add a hat', images: [png()] }, maxRetries: 0 });
  that('one', isPicture(images[0].uint8Array));
});
