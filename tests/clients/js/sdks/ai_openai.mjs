// AI SDK with @ai-sdk/openai: its default model function, which speaks /v1/responses, then .chat, then pictures.
import { createOpenAI } from '@ai-sdk/openai';
import * as ai from 'ai';
import { z } from 'zod';
import { aiChecks } from '../ai_checks.mjs';
import { KEY, MODEL, OTHER_MODEL, PICTURE_MODEL, PRO_MODEL, TIGHT_URL, URL_, begin, check, isPicture, png, raised, that } from '../checks.mjs';
import { versions } from './versions.mjs';

const provider = ({ key = KEY, tight = false } = {}) => createOpenAI({ baseURL: `${tight ? TIGHT_URL : URL_}/v1`, apiKey: key });
const openai = provider();

begin('ai-sdk openai responses', versions('ai', '@ai-sdk/openai'));
// `forceReasoning`: it drops the effort for models that it does not know to reason.
await aiChecks(ai, z, (name, options) => provider(options)(name), { thinking: { openai: { reasoningEffort: 'high', reasoningSummary: 'auto', forceReasoning: true } }, reasoning: true, deep: true, tight: OTHER_MODEL });
begin('ai-sdk openai chat');
await aiChecks(ai, z, (name, options) => provider(options).chat(name), { thinking: { openai: { reasoningEffort: 'high', forceReasoning: true } }, reasoning: false, deep: true, tight: PRO_MODEL });
await check('picture', async () => {
  const { images } = await ai.generateImage({ model: openai.image(PICTURE_MODEL), prompt: 'a red kite', n: 2, maxRetries: 0 });
  that('two', images.length === 2 && images.every(i => isPicture(i.uint8Array)));
});
await check('picture edit', async () => {
  const { images } = await ai.generateImage({ model: openai.image(PICTURE_MODEL), prompt: { text: 'add a hat', images: [png()] }, maxRetries: 0 });
  that('one', images.length === 1 && isPicture(images[0].uint8Array));
});
await check('unsupported', async () => {
  const error = await raised('embed: APICallError 404', e => e.statusCode === 404, () => ai.embed({ model: openai.embedding(MODEL), value: 'x', maxRetries: 0 }));
  that('its message is ours', /route|embeddings/.test(error.message), error);
});
