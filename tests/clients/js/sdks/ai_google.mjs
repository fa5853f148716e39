// AI SDK with @ai-sdk/google, which speaks v1beta.
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import * as ai from 'ai';
import { z } from 'zod';
import { aiChecks } from '../ai_checks.mjs';
import { KEY, PICTURE_MODEL, TIGHT_URL, URL_, begin, check, isPicture, that } from '../checks.mjs';
import { versions } from './versions.mjs';

const provider = ({ key = KEY, tight = false, path = '/gemini/v1beta' } = {}) => createGoogleGenerativeAI({ baseURL: (tight ? TIGHT_URL : URL_) + path, apiKey: key });

begin('ai-sdk google', versions('@ai-sdk/google'));
await aiChecks(ai, z, (name, options) => provider(options)(name), { thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 8192 } } }, reasoning: true, deep: true, tight: 'gemini-2.5-pro' });
await check('prefixes', async () => {
  for (const path of ['/v1beta', '/v1', '/gemini/v1']) {
    const { text } = await ai.generateText({ model: provider({ path })('gemini-3-flash-preview'), prompt: 'Hi', maxRetries: 0 });
    that(path, text.includes('You said: Hi'), text);
  }
});
await check('picture', async () => {
  const { images } = await ai.generateImage({ model: provider().image(PICTURE_MODEL), prompt: 'a red kite', aspectRatio: '16:9', maxRetries: 0 });
  that('generateImage', isPicture(images[0].uint8Array));
  const answer = await ai.generateText({ model: provider()(PICTURE_MODEL), prompt: 'generate an image of a kite', providerOptions: { google: { responseModalities: ['TEXT', 'IMAGE'] } }, maxRetries: 0 });
  that('files of a text', answer.files.length === 1 && isPicture(answer.files[0].uint8Array), answer.files.length);
});
