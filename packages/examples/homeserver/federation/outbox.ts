// Events on their way to other servers. They are written down in the transaction that stores them, and crossed out when the
// other server has them: neither a restart nor a server that is down loses one.

import type { Logger } from '@bulkhead/runtime';
import { serverNameOf } from '@bulkhead/sdk/contract';
import { and, asc, desc, eq, lte } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events, outbox } from '../db/schema.js';
import { isLocal } from '../ids.js';
import { membershipOf } from '../rooms/event.js';
import type { NewEvent } from '../rooms/insert.js';
import { toPdu } from '../rooms/pdu.js';
import { eventOf } from '../rooms/rows.js';
import type { FederationClient } from './client.js';
import type { RoomServers } from './room-servers.js';

/** What a transaction may hold. */
export const MAX_PDUS = 50;
const TIMEOUT_MS = 60_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10 * 60_000;
/** More than that does not wait for a server that is down: it will ask for what it lacks. */
const MAX_KEPT = 10_000;

export class Outbox {
  readonly #db: Database;
  readonly #client: FederationClient;
  readonly #servers: RoomServers;
  readonly #logger: Logger;
  readonly #couriers = new Map<string, Courier>();

  constructor(db: Database, client: FederationClient, servers: RoomServers, logger: Logger) {
    this.#db = db;
    this.#client = client;
    this.#servers = servers;
    this.#logger = logger;
  }

  /** What was left by the last run. */
  async start(): Promise<void> {
    const waiting = await this.#db.selectDistinct({ server: outbox.server }).from(outbox);
    for (const { server } of waiting) this.#courierTo(server).wake();
  }

  /** Within the transaction that stores the events. @returns what to do once it is committed */
  readonly add = async (tx: Database, stored: readonly NewEvent[]): Promise<() => void> => {
    const rows: { server: string; eventId: string }[] = [];
    for (const item of stored) {
      for (const server of await this.#destinations(tx, item)) rows.push({ server, eventId: item.event.event_id });
    }
    if (rows.length > 0) await tx.insert(outbox).values(rows);
    return () => {
      this.#servers.changed(stored);
      // The next event of the room finds them known.
      for (const roomId of new Set(stored.map(({ event }) => event.room_id))) {
        this.#servers.of(roomId).catch((error: unknown) => this.#logger.warn({ err: error, roomId }, 'No servers'));
      }
      for (const server of new Set(rows.map((row) => row.server))) this.#courierTo(server).wake();
    };
  };

  /** The server is up: it has sent something itself. */
  heardFrom(server: string): void {
    this.#couriers.get(server)?.hurry();
  }

  async close(): Promise<void> {
    for (const courier of this.#couriers.values()) courier.stop();
    await Promise.all([...this.#couriers.values()].map((courier) => courier.idle));
  }

  /** Those who are in the room, those who come in, and those who have to go. */
  async #destinations(tx: Database, { event, onlyFor, branch }: NewEvent): Promise<readonly string[]> {
    const { serverName } = this.#client;
    if (onlyFor !== null || branch?.inviteState || branch?.isBehind) return [];
    if (!isLocal(event.sender, serverName) && branch?.relayedFrom === undefined) return [];
    const servers = new Set(await this.#servers.of(event.room_id, tx));
    const membership = membershipOf(event);
    if (membership === 'join' || membership === 'leave' || membership === 'ban') {
      servers.add(serverNameOf(event.state_key ?? '') ?? '');
    }
    if (branch?.relayedFrom !== undefined) servers.delete(branch.relayedFrom);
    return [...servers].filter((server) => this.#client.knows(server));
  }

  #courierTo(server: string): Courier {
    const known = this.#couriers.get(server);
    if (known) return known;
    const courier = new Courier(server, () => this.#deliver(server), this.#logger);
    this.#couriers.set(server, courier);
    return courier;
  }

  /** @returns whether there may be more @throws when the server has not taken them */
  async #deliver(server: string): Promise<boolean> {
    const rows = await this.#db
      .select({ id: outbox.id, row: events })
      .from(outbox)
      .innerJoin(events, eq(events.eventId, outbox.eventId))
      .where(eq(outbox.server, server))
      .orderBy(asc(outbox.id))
      .limit(MAX_PDUS);
    const [first, last] = [rows[0], rows.at(-1)];
    if (!first || !last) return false;
    const pdus = rows.flatMap(({ row }) =>
      row.envelope === null ? [] : [toPdu({ event: eventOf(row), envelope: row.envelope })],
    );
    // The same events always come under the same id, as long as this process lasts; after it they are known by their own.
    const transaction = `${STARTED}.${first.id}-${last.id}`;
    const { serverName: origin } = this.#client;
    try {
      const { pdus: results } = await this.#client.request(server, {
        method: 'PUT',
        path: ['v1', 'send', transaction],
        body: { origin, origin_server_ts: Date.now(), pdus },
        timeoutMs: TIMEOUT_MS,
      });
      this.#logRefusals(server, results);
    } catch (error) {
      await this.#shorten(server);
      throw error;
    }
    await this.#db.delete(outbox).where(and(eq(outbox.server, server), lte(outbox.id, last.id)));
    return true;
  }

  #logRefusals(server: string, results: unknown): void {
    for (const [eventId, result] of Object.entries(results ?? {}).slice(0, MAX_PDUS)) {
      const { error } = (result ?? {}) as { error?: unknown };
      if (error !== undefined) this.#logger.info({ server, eventId, error }, 'Another server does not take an event');
    }
  }

  async #shorten(server: string): Promise<void> {
    const [newest] = await this.#db
      .select({ id: outbox.id })
      .from(outbox)
      .where(eq(outbox.server, server))
      .orderBy(desc(outbox.id))
      .offset(MAX_KEPT)
      .limit(1);
    if (newest) await this.#db.delete(outbox).where(and(eq(outbox.server, server), lte(outbox.id, newest.id)));
  }
}

const STARTED = Date.now();

/** Carries one batch after the other to one server; after a failure it waits, each time twice as long. */
class Courier {
  readonly #server: string;
  readonly #deliver: () => Promise<boolean>;
  readonly #logger: Logger;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(server: string, deliver: () => Promise<boolean>, logger: Logger) {
    this.#server = server;
    this.#deliver = deliver;
    this.#logger = logger;
  }

  get idle(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  /** There is something to carry. */
  wake(): void {
    this.#again = true;
    if (this.#stopped || this.#running || this.#timer) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Waiting is over. */
  hurry(): void {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        while (!this.#stopped && (await this.#deliver())) this.#failures = 0;
      }
    } catch (error) {
      if (!this.#stopped) this.#retryLater(error);
    }
  }

  #retryLater(error: unknown): void {
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures++, LAST_RETRY_MS);
    this.#logger.info({ err: error, server: this.#server, wait }, 'Another server cannot be reached');
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.wake();
      },
      // All who wait for a server that comes back do not come at once.
      wait * (0.8 + Math.random() * 0.4),
    );
    this.#timer.unref();
  }
}
