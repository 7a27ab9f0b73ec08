// The tests of this folder that start homeservers, once more on one PostgreSQL server: else they are embedded. Of what takes
// minutes `npm test` runs a part, and CI with `POSTGRES=all` everything.
// `DATABASE=postgres npx tap run homeserver/sync.test.ts` does the same for one file, or for those of another folder.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ask, serverUrl } from './postgres.ts';

/** These have both databases in them, or none, or look into the embedded one; what a page asks for the others ask for, too. */
const ELSEWHERE = [
  ...['authorisation', 'crash', 'database', 'federation-keys', 'large-room', 'migrations'],
  ...['page', 'postgres', 'readme', 'state-resolution'],
];
/** Between them they ask the database for nearly everything that there is to ask. */
const USUAL = ['accounts', 'directory', 'history', 'keys', 'odd-input', 'restart', 'shadow-ban', 'sync'];
const TIMEOUT_MS = 900_000;

t.setTimeout(TIMEOUT_MS);
const DATABASE = await serverUrl();
const env = { ...process.env, DATABASE };

for (const file of (await readdir(import.meta.dirname)).sort()) {
  const name = /^(.*)\.test\.ts$/.exec(file)?.[1];
  if (name === undefined || ELSEWHERE.includes(name)) continue;
  if (process.env.POSTGRES !== 'all' && !USUAL.includes(name)) continue;
  const before = await databases();
  await t.spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, file)], { env }, name);
  t.ok((await databases()) > before, `${name} was there`);
}

async function databases(): Promise<number> {
  const [row] = await ask<{ count: string }>(DATABASE, 'select count(*) from pg_database');
  return Number(row?.count);
}
