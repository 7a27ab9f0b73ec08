// What a PostgreSQL server does by itself and the embedded database does not: statistics, without which the planner takes
// a room of thousands for one of a few and reads all of it, and vacuuming.

import type { Logger } from '@bulkhead/runtime';
import type { PGlite } from '@electric-sql/pglite';

const INTERVAL_MS = 10_000;

/** @returns ends it */
export function keepUp(client: PGlite, logger: Logger, everyMs = INTERVAL_MS): () => Promise<void> {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= lookAfter(client)
      .catch((error: unknown) => logger.warn({ err: error }, 'The upkeep of the database failed'))
      .finally(() => {
        running = undefined;
      });
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}

/**
 * A server's own thresholds ("The Autovacuum Daemon"), and its way of counting. What it counted is lost when a process is
 * killed, so whatever was never looked at is looked at, too.
 */
async function lookAfter(client: PGlite): Promise<void> {
  const { rows } = await client.query<{ name: string; isFull: boolean }>(`
    select relname as name, n_dead_tup > 50 + 0.2 * greatest(reltuples, 0) as "isFull"
    from pg_stat_user_tables join pg_class using (relname)
    where n_dead_tup > 50 + 0.2 * greatest(reltuples, 0)
       or n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)
       or (reltuples < 0 and pg_relation_size(pg_class.oid) > 0)`);
  // One at a time, so that whoever waits for the database waits for one table and not for all.
  for (const { name, isFull } of rows) await client.exec(`${isFull ? 'vacuum (analyze)' : 'analyze'} "${name}"`);
}
