// Databases on a real PostgreSQL server: one that runs as long as the test process, or the one that DATABASE leads to.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';

/** `postgres`, or the address of a server: the homeservers of the tests are to use it. Else they are embedded. */
const { DATABASE = '' } = process.env;

export const onPostgres = DATABASE.startsWith('postgres');

/** A new database. @returns its address */
export async function createDatabase(options = ''): Promise<string> {
  const url = new URL(await serverUrl());
  const name = `test_${randomBytes(8).toString('hex')}`;
  await ask(url.href, `create database ${name} ${options}`);
  url.pathname = `/${name}`;
  return url.href;
}

/** One statement on a connection of its own. @returns the rows */
export async function ask<Row extends object = Record<string, unknown>>(url: string, statement: string) {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

let server: Promise<string> | undefined;

/** Where databases are made. */
export function serverUrl(): Promise<string> {
  server ??= DATABASE.includes('://') ? Promise.resolve(DATABASE) : startServer();
  return server;
}

const keeper = fileURLToPath(new URL('./postgres-keeper.js', import.meta.url));

async function startServer(): Promise<string> {
  // In a group of its own: Ctrl-C would end it before it has tidied up.
  const child = spawn(process.execPath, [keeper], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('PostgreSQL did not start'))),
  ]);
  child.unref();
  (child.stdin as Socket).unref();
  (child.stdout as unknown as Socket).unref();
  return String(line).trim();
}
