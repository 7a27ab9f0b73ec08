// The tables of the homeserver's README lead to every place where modules are asked, and to no other.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';

const folder = join(import.meta.dirname, '../../packages/examples/homeserver');
const CALL = /\.(?:spamChecker|thirdPartyRules|accountValidity|presenceRouter)\.(\w+)\(/;
const METHOD = /^ {2}(?:readonly |static |async )*(#?\w+)(?: = async)?\s*\(/;
const ROW = /^\| (`\w+`(?:, `\w+`)*) +\| \[([^\]]+)\]\(\2\) `(#?\w+)`/gm;

/** `callback file method` of every call. */
async function calls(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const file of await readdir(folder, { recursive: true })) {
    if (!file.endsWith('.ts') || file.startsWith('node_modules')) continue;
    let method = '';
    for (const line of (await readFile(join(folder, file), 'utf8')).split('\n')) {
      method = METHOD.exec(line)?.[1] ?? method;
      const [, callback] = CALL.exec(line) ?? [];
      if (callback !== undefined) found.push(`${callback} ${file} ${method}`);
    }
  }
  return found.sort();
}

async function rows(): Promise<readonly string[]> {
  const readme = await readFile(join(folder, 'README.md'), 'utf8');
  return [...readme.matchAll(ROW)]
    .flatMap(([, callbacks = '', file, method]) =>
      [...callbacks.matchAll(/\w+/g)].map(([callback]) => `${callback} ${file} ${method}`),
    )
    .sort();
}

t.test('every call has its row, and every row its call', async (t) => {
  t.same(await rows(), await calls());
});
