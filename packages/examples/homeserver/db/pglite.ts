// The embedded database: PostgreSQL compiled to WebAssembly, in a folder or in memory.
//
// Every commit is written to the folder's files before it is answered, so what a client was told survives the end of the
// process, however it comes. PGlite never calls fsync, so it need not survive a power cut or a crash of the system.

import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Logger } from '@bulkhead/runtime';
import { PGlite } from '@electric-sql/pglite';
import { ClassicLevel } from 'classic-level';
import { drizzle } from 'drizzle-orm/pglite';
import type { Database, OpenDatabase } from './database.js';
import { DatabaseError } from './error.js';
import * as schema from './schema.js';
import { keepUp } from './upkeep.js';

/** @param folder where the database lives; `undefined`: in memory, gone when it is closed */
export async function openPglite(folder: string | undefined, logger: Logger): Promise<OpenDatabase> {
  if (folder === undefined) {
    const client = await create('memory://', logger);
    return opened(client, logger);
  }
  const unlock = await lock(folder);
  try {
    const client = await openFolder(folder, logger);
    const { db, close } = opened(client, logger);
    return { db, close: () => close().finally(unlock) };
  } catch (error) {
    await unlock();
    throw error;
  }
}

function opened(client: PGlite, logger: Logger): OpenDatabase {
  const endUpkeep = keepUp(client, logger);
  const db = drizzle(client, { schema }) as unknown as Database;
  return { db, close: () => endUpkeep().then(() => client.close()) };
}

/**
 * PGlite lets two processes write to one folder, which is the end of it. An empty LevelDB beside it has the system's own
 * lock on a file: whatever ends the process ends the lock.
 */
async function lock(folder: string): Promise<() => Promise<void>> {
  const held = new ClassicLevel(`${folder}.lock`);
  try {
    await mkdir(dirname(folder), { recursive: true });
    await held.open();
  } catch (error) {
    if (((error as Error).cause as { code?: string } | undefined)?.code !== 'LEVEL_LOCKED') throw error;
    throw new DatabaseError(
      'in-use',
      `${folder}: another homeserver is using it. Stop that one, or give this one a folder of its own`,
      error,
    );
  }
  return () => held.close();
}

async function openFolder(folder: string, logger: Logger): Promise<PGlite> {
  // A start that was interrupted while the files were laid out leaves half a database: only the mark makes it whole.
  const mark = `${folder}.ready`;
  if (await exists(mark)) return PGlite.create({ dataDir: folder, startParams });
  await rm(folder, { recursive: true, force: true });
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
