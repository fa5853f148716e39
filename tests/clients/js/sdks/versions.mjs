import { readFileSync } from 'node:fs';

/** The installed versions of these packages. */
export const versions = (...names) =>
  Object.fromEntries(names.map(name => [name, JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version]));
