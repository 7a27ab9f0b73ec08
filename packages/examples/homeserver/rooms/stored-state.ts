// The state of a room at a position, read from the database as it is asked for.

import { and, desc, eq, or, type SQL, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events } from '../db/schema.js';
import type { RoomEvent } from './event.js';
import { eventOf, holdsAt, visibleTo } from './rows.js';
import { keyOf, type StateKey, type StateView } from './state.js';

const STATE_PAGE = 500;

export class StoredState implements StateView {
  readonly position: number;
  readonly #db: Database;
  readonly #holds: SQL | undefined;
  readonly #found = new Map<string, RoomEvent | undefined>();
  readonly #lists = new Map<string, Promise<readonly RoomEvent[]>>();
  #listed = 0;

  constructor(db: Database, roomId: string, viewer: string, position: number) {
    this.#db = db;
    this.position = position;
    this.#holds = and(eq(events.roomId, roomId), holdsAt(position), visibleTo(viewer));
  }

  /** How much of it is kept. */
  get size(): number {
    return this.#found.size + this.#listed;
  }

  async get(type: string, stateKey: string): Promise<RoomEvent | undefined> {
    const key = keyOf(type, stateKey);
    // Several modules often ask for the same few events.
    if (!this.#found.has(key)) await this.getAll([[type, stateKey]]);
    return this.#found.get(key);
  }

  async getAll(keys: readonly StateKey[]): Promise<readonly RoomEvent[]> {
    const missing = keys.filter(([type, stateKey]) => !this.#found.has(keyOf(type, stateKey)));
    if (missing.length > 0) {
      const found = await this.#read(
        or(...missing.map(([type, stateKey]) => and(eq(events.type, type), eq(events.stateKey, stateKey)))),
      );
      for (const [type, stateKey] of missing) this.#found.set(keyOf(type, stateKey), undefined);
      for (const event of found) this.#found.set(keyOf(event.type, event.state_key ?? ''), event);
    }
    return keys
      .map(([type, stateKey]) => this.#found.get(keyOf(type, stateKey)))
      .filter((event) => event !== undefined);
  }

  /** With a limit it is kept: what modules want to have with every call is asked for with every event. */
  list(type: string, limit?: number): Promise<readonly RoomEvent[]> {
    if (limit === undefined) return this.#read(eq(events.type, type));
    const key = `${type}\0${limit}`;
    const list = this.#lists.get(key) ?? this.#readList(type, limit, () => this.#lists.delete(key));
    this.#lists.set(key, list);
    return list;
  }

  async #readList(type: string, limit: number, forget: () => void): Promise<readonly RoomEvent[]> {
    try {
      const found = await this.#read(eq(events.type, type), limit);
      this.#listed += 1 + found.length;
      return found;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async *entries(): AsyncIterable<RoomEvent> {
    let after: RoomEvent | undefined;
    for (;;) {
      const behind = after && sql`(${events.type}, ${events.stateKey}) > (${after.type}, ${after.state_key ?? ''})`;
      const page = await this.#read(behind, STATE_PAGE);
      yield* page;
      if (page.length < STATE_PAGE) return;
      after = page.at(-1);
    }
  }

  async #read(where: SQL | undefined, limit?: number): Promise<RoomEvent[]> {
    const query = this.#db
      .selectDistinctOn([events.type, events.stateKey])
      .from(events)
      .where(and(this.#holds, where))
      .orderBy(events.type, events.stateKey, desc(events.position));
    return (await (limit === undefined ? query : query.limit(limit))).map(eventOf);
  }
}
