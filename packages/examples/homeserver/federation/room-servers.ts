// Which servers are in a room: those of the users who have joined it. Every event asks, so it is kept in memory; who joins is
// added, and only for servers of those who leave the database is asked again.

import { serverNameOf } from '@bulkhead/sdk/contract';
import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events } from '../db/schema.js';
import { membershipOf } from '../rooms/event.js';
import type { NewEvent } from '../rooms/insert.js';

interface Known {
  readonly servers: Set<string>;
  /** Somebody of theirs has left. */
  readonly doubtful: Set<string>;
}

const MAX_ROOMS = 10_000;

export class RoomServers {
  readonly #db: Database;
  readonly #known = new Map<string, Known>();
  #changes = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @param db the transaction within which is asked */
  async of(roomId: string, db = this.#db): Promise<ReadonlySet<string>> {
    const changes = this.#changes;
    const known = this.#known.get(roomId);
    if (!known) {
      const servers = await read(db, roomId);
      // What a transaction sees may never be.
      if (db === this.#db && changes === this.#changes) this.#remember(roomId, { servers, doubtful: new Set() });
      return servers;
    }
    for (const server of known.doubtful) {
      const isThere = (await read(db, roomId, server)).has(server);
      if (db !== this.#db || changes !== this.#changes) continue;
      known.doubtful.delete(server);
      if (!isThere) known.servers.delete(server);
    }
    return known.servers;
  }

  /** Once the events are committed. */
  changed(stored: readonly NewEvent[]): void {
    this.#changes++;
    for (const { event, onlyFor, branch } of stored) {
      // Resolution may have changed any membership.
      if (branch?.resolved || branch?.isBehind) this.#known.delete(event.room_id);
      const known = this.#known.get(event.room_id);
      const membership = membershipOf(event);
      if (!known || membership === undefined || onlyFor !== null) continue;
      const server = serverNameOf(event.state_key ?? '') ?? '';
      if (membership === 'join') {
        known.servers.add(server);
        known.doubtful.delete(server);
      } else if (known.servers.has(server)) {
        known.doubtful.add(server);
      }
    }
  }

  #remember(roomId: string, known: Known): void {
    this.#known.set(roomId, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_ROOMS && oldest !== undefined) this.#known.delete(oldest);
  }
}

async function read(db: Database, roomId: string, server?: string): Promise<Set<string>> {
  const name = sql<string>`substring(${events.stateKey} from position(':' in ${events.stateKey}) + 1)`;
  const query = db
    .selectDistinct({ name })
    .from(events)
    .where(
      and(
        eq(events.roomId, roomId),
        isNull(events.supersededAt),
        isNull(events.onlyFor),
        eq(events.membership, 'join'),
        server === undefined ? undefined : sql`right(${events.stateKey}, ${server.length + 1}) = ${`:${server}`}`,
      ),
    );
  const found = await (server === undefined ? query : query.limit(1));
  return new Set(found.map((row) => row.name));
}
