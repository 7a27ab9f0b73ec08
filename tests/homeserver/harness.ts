// A homeserver for one test, with fake modules, on a port of its own.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHomeserver, type Homeserver, type HomeserverOptions } from '@bulkhead/examples/homeserver';
import type { Homeserver as ModuleHost } from '@bulkhead/sdk/contract';
import type t from 'tap';
import type { DatabasePlace } from '../../packages/examples/homeserver/db/database.ts';
import { Client } from './client.ts';
import { createFakeModules, type FakeModules } from './fake-modules.ts';
import { createDatabase, onPostgres } from './postgres.ts';

const say = (fields: object, message: string) => process.env.LOG && console.error(message, fields);
export const quiet = { debug: say, info: say, warn: say, error: say };

type Test = Pick<typeof t, 'teardown'>;

export const SERVER_NAME = 'example.com';

export interface TestServer extends Homeserver {
  readonly url: string;
  readonly fake: FakeModules;
  /** What the modules may ask of the homeserver. */
  readonly host: Required<ModuleHost>;
  register(username: string): Promise<Client>;
}

export async function startServer(t: Test, options: HomeserverOptions = {}, port = 0): Promise<TestServer> {
  const fake = createFakeModules();
  let host: ModuleHost | undefined;
  const homeserver = await createHomeserver({
    serverName: SERVER_NAME,
    logger: quiet,
    modules: async (given) => {
      host = given;
      return fake;
    },
    ...options,
    ...(await storageFor(t, options)),
  });
  t.teardown(() => homeserver.close());
  const { url } = await homeserver.listen(port, '127.0.0.1');
  return Object.assign(homeserver as Homeserver & { url: string }, {
    fake,
    host: host as Required<ModuleHost>,
    register: (username: string) => Client.register(url, username),
  });
}

/** In memory unless the test says otherwise; on PostgreSQL, each folder of data has a database of its own. */
export async function storageFor(t: Test, options: HomeserverOptions = {}): Promise<HomeserverOptions> {
  if (!onPostgres && options.databaseUrl === undefined) return { memory: options.dataDir === undefined };
  const dataDir = options.dataDir ?? (await temporaryFolder(t));
  if (options.databaseUrl !== undefined) return { dataDir };
  const databaseUrl = databases.get(dataDir) ?? (await createDatabase());
  databases.set(dataDir, databaseUrl);
  return { dataDir, databaseUrl };
}

const databases = new Map<string, string>();

/** Where the homeserver of a folder has its database. */
export function placeOf(dataDir: string): DatabasePlace {
  const url = databases.get(dataDir);
  return url === undefined ? { folder: join(dataDir, 'db') } : { url };
}

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Asserts that a request, or a module's, is refused with the status and error code that are named. */
export async function refuses(
  t: Pick<typeof import('tap').t, 'match'>,
  request: Promise<unknown> | (() => unknown),
  refusal: { readonly status?: number; readonly errcode?: string; readonly body?: object },
  message = `refused with ${refusal.status ?? ''} ${refusal.errcode ?? ''}`,
): Promise<void> {
  const outcome = await Promise.resolve(typeof request === 'function' ? (async () => request())() : request).then(
    (answer) => ({ answered: answer }),
    (error: unknown) => error,
  );
  t.match(outcome, refusal, message);
}
