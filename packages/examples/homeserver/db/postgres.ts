// A database on a PostgreSQL server: a pool of connections, and a lock that keeps other homeservers out.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@bulkhead/runtime';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Client, type ClientConfig, Pool } from 'pg';
import type { Database, OpenDatabase } from './database.js';
import { DatabaseError } from './error.js';
import * as schema from './schema.js';

const MAX_CONNECTIONS = 10;
const CONNECT_MS = 5_000;

/** @throws DatabaseError */
export async function openPostgres(url: string, logger: Logger): Promise<OpenDatabase> {
  const config: ClientConfig = {
    connectionString: url,
    application_name: 'bulkhead-homeserver',
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  };
  const lock = await DatabaseLock.take(config, whereOf(url), logger);
  const pool = new Pool({ ...config, max: MAX_CONNECTIONS });
  // A connection that breaks is replaced, and who was using it hears of it. Unheard, the event would end the process.
  const broken = (error: Error) => logger.warn({ err: error }, 'A connection to PostgreSQL broke');
  pool.on('connect', (client) => client.on('error', broken));
  pool.on('error', () => {});
  return {
    db: withTransactions(pool),
    async close() {
      await pool.end();
      await lock.release();
    },
  };
}

/** With a pool, drizzle's own transactions keep a connection for ever when `begin` fails on it. */
function withTransactions(pool: Pool): Database {
  const db = drizzle(pool, { schema });
  return Object.assign(db, {
    async transaction(...[work, options]: Parameters<typeof db.transaction>) {
      const client = await pool.connect();
      try {
        return await drizzle(client, { schema }).transaction(work, options);
      } finally {
        client.release();
      }
    },
  }) as unknown as Database;
}

/** Any number that no other program locks in this database. */
const LOCK = 0x62756c6b;
/** As long as a server may take to notice that a homeserver was killed. */
const LOCK_WAIT_MS = 2_000;
const RETRY_MS = 1_000;
/** A host that is gone says no goodbye: without these, its lock would stay for hours. */
const NOTICE_LOST_HOST = 'set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3';

/**
 * Positions and the state of rooms are remembered in the process: a second homeserver on the same database would go by
 * what is no longer so. The lock lasts as long as its connection, so that of a killed process nothing is left.
 */
class DatabaseLock {
  #client: Client;
  #released = false;

  static async take(config: ClientConfig, where: string, logger: Logger): Promise<DatabaseLock> {
    return new DatabaseLock(await lockedClient(config, where), config, where, logger);
  }

  private constructor(client: Client, config: ClientConfig, where: string, logger: Logger) {
    this.#client = client;
    this.#keep(config, where, logger);
  }

  async release(): Promise<void> {
    this.#released = true;
    await this.#client.end();
  }

  /** A connection that broke has lost the lock with it. */
  #keep(config: ClientConfig, where: string, logger: Logger): void {
    this.#client.once('end', async () => {
      while (!this.#released) {
        try {
          const client = await lockedClient(config, where);
          this.#client = client;
          if (this.#released) return await client.end();
          return this.#keep(config, where, logger);
        } catch (error) {
          logger.error({ err: error }, 'The lock on the database is lost, and cannot be had again yet');
          await sleep(RETRY_MS, undefined, { ref: false });
        }
      }
    });
  }
}

/** A connection that is good, and has the lock. */
async function lockedClient(config: ClientConfig, where: string): Promise<Client> {
  const client = new Client(config);
  // 'end' follows, and is what counts.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ server_encoding: string }>('show server_encoding');
    const encoding = rows[0]?.server_encoding;
    if (encoding !== 'UTF8') {
      throw new DatabaseError(
        'unsuitable',
        `${where}: its encoding is ${encoding}. Make one for all of Unicode: create database NAME encoding 'UTF8' template template0`,
      );
    }
    await client.query(`set lock_timeout = ${LOCK_WAIT_MS}; ${NOTICE_LOST_HOST}`);
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error instanceof DatabaseError ? error : explained(error, where);
  }
}

/** Without the user and the password. */
function whereOf(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? (hostname || 'localhost');
  const server = host.startsWith('/') ? host : `${host}:${port || 5432}`;
  return `PostgreSQL at ${server}, database ${decodeURIComponent(pathname.slice(1))}`;
}

function explained(error: unknown, where: string): DatabaseError {
  const { code = '', message } = error as Error & { code?: string };
  if (code === '55P03') {
    return new DatabaseError(
      'in-use',
      `${where}: another homeserver is using it. Stop that one, or give this one a database of its own`,
      error,
    );
  }
  const advice = ADVICE[code] ?? (/timeout/i.test(message) ? NO_ANSWER : 'Look into the log of the server');
  return new DatabaseError('unreachable', `${where} cannot be used: ${message || code}. ${advice}`, error);
}

const NO_ANSWER = 'Nobody answers: is the address right, and does a firewall let it through?';
const NOBODY_THERE = 'Is the server running, and is the address right?';

/** By the system's codes and PostgreSQL's (appendix A of its manual). */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: NOBODY_THERE,
  ENOENT: NOBODY_THERE,
  ENOTFOUND: 'Is the name of the host right?',
  EAI_AGAIN: 'Is the name of the host right?',
  ETIMEDOUT: NO_ANSWER,
  EHOSTUNREACH: NO_ANSWER,
  '28P01': 'Are the user and the password in the address right?',
  '28000': 'Does pg_hba.conf let this user in from here?',
  '3D000': "Make it: create database NAME encoding 'UTF8' template template0",
  '53300': 'Raise max_connections, or close other programs: a homeserver takes 11 connections',
  '57P03': 'Try again when it has started',
};
