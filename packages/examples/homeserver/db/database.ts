// Opens the database: PostgreSQL compiled to WebAssembly, in a folder or in memory. Everything else speaks drizzle's
// PostgreSQL dialect, so that a server can stand in for it.

import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Logger } from '@bulkhead/runtime';
import { PGlite } from '@electric-sql/pglite';
import type { PgDatabase } from 'drizzle-orm/pg-core';
import { drizzle, type PgliteQueryResultHKT } from 'drizzle-orm/pglite';
import { migrate } from './migrations.js';
import * as schema from './schema.js';

/** The database, or a transaction of it. */
export type Database = PgDatabase<PgliteQueryResultHKT, typeof schema>;

export interface OpenDatabase {
  readonly db: Database;
  close(): Promise<void>;
}

/** @param folder where the database lives; `undefined`: in memory, gone when it is closed */
export async function openDatabase(folder: string | undefined, logger: Logger): Promise<OpenDatabase> {
  const client = folder === undefined ? await create('memory://', logger) : await openFolder(folder, logger);
  const db = drizzle(client, { schema });
  try {
    await migrate(db);
  } catch (error) {
    await client.close();
    throw error;
  }
  return { db, close: () => client.close() };
}

async function openFolder(folder: string, logger: Logger): Promise<PGlite> {
  // A start that was interrupted while the files were laid out leaves half a database: only the mark makes it whole.
  const mark = `${folder}.ready`;
  if (await exists(mark)) return PGlite.create({ dataDir: folder, startParams });
  await rm(folder, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  const client = await create(folder, logger);
  await writeFile(mark, '');
  return client;
}

// PGlite's own settings are made for a server: it would fill 128 MB of buffers with zeros at every start.
const startParams = [...PGlite.defaultStartParams, '-c', 'shared_buffers=16MB'];
/** In MB; it is what an empty database mostly consists of. */
const initDbStartParams = ['--wal-segsize=1'];
/** The other two thirds are templates for further databases. There will be none. */
const trim = [
  'update pg_database set datistemplate = false',
  'drop database template0',
  'drop database template1',
  'checkpoint',
];

/** Makes a new database. Initialising one takes PGlite 4 s, unpacking one that was kept a sixth of that. */
async function create(dataDir: string, logger: Logger): Promise<PGlite> {
  const template = await templatePath();
  const kept = await readFile(template).catch(() => undefined);
  if (kept) {
    try {
      return await PGlite.create({ dataDir, startParams, loadDataDir: new Blob([kept]) });
    } catch (error) {
      logger.warn({ err: error, template }, 'The kept empty database is of no use; making a new one');
      if (!dataDir.startsWith('memory:')) await rm(dataDir, { recursive: true, force: true });
    }
  }
  const client = await PGlite.create({ dataDir, startParams, initDbStartParams });
  try {
    for (const statement of trim) await client.exec(statement);
    const dump = await client.dumpDataDir('gzip');
    await mkdir(dirname(template), { recursive: true });
    // Several servers may start at once: each writes a file of its own, the last rename wins.
    const draft = `${template}.${process.pid}.${Date.now()}`;
    await writeFile(draft, Buffer.from(await dump.arrayBuffer()));
    await rename(draft, template);
  } catch (error) {
    logger.debug({ err: error, template }, 'Could not keep an empty database for the next start');
  }
  return client;
}

/** One file for each version of PGlite and of what is done above, in the user's own cache. */
async function templatePath(): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'));
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'bulkhead', `pglite-${version}-${RECIPE}.tgz`);
}

const RECIPE = 1;

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
