// Opens the database: PGlite in a folder or in memory, or a PostgreSQL server. Whoever has it open cannot tell which.

import type { Logger } from '@bulkhead/runtime';
import { sql } from 'drizzle-orm';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import { migrate } from './migrations.js';
import { openPglite } from './pglite.js';
import { openPostgres } from './postgres.js';
import type * as schema from './schema.js';

/** The database, or a transaction of it. */
export type Database = PgDatabase<Result, typeof schema>;

/** What both drivers answer to a statement that drizzle does not know. */
interface Result extends PgQueryResultHKT {
  readonly type: Rows<this['row']>;
}

interface Rows<Row> {
  readonly rows: Row[];
}

export interface OpenDatabase {
  readonly db: Database;
  /** Statements under way are waited for. */
  close(): Promise<void>;
}

/** Where the database is: the address of a server, or a folder for PGlite; without a folder it is in memory. */
export type DatabasePlace = { readonly url: string } | { readonly folder: string | undefined };

/** @throws DatabaseError */
export async function openDatabase(place: DatabasePlace, logger: Logger): Promise<OpenDatabase> {
  const database = 'url' in place ? await openPostgres(place.url, logger) : await openPglite(place.folder, logger);
  try {
    await migrate(database.db);
    await settle(database.db);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

/**
 * Of a process that was killed, a server may still be committing the last transaction. Until it has, nobody may look where
 * the events end.
 */
async function settle(db: Database): Promise<void> {
  await db.transaction((tx) => tx.execute(sql`lock table events in share mode`));
}
