// What a client needs to name a room whose members it has not loaded. The same for all members, hence kept until the
// state of the room changes.

import { and, asc, count, eq, inArray, isNull } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events as table } from '../db/schema.js';
import type { EventStore } from '../rooms/events.js';
import { visibleTo } from '../rooms/rows.js';

export interface Summary {
  readonly 'm.heroes'?: readonly string[];
  readonly 'm.joined_member_count': number;
  readonly 'm.invited_member_count': number;
}

interface Kept {
  readonly position: number;
  readonly joined: number;
  readonly invited: number;
  /** In the order in which they came; `undefined` for a room that has a name. */
  readonly heroes: readonly string[] | undefined;
}

const MAX_HEROES = 5;
const MAX_KEPT = 1000;

export class Summaries {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #kept = new Map<string, Kept>();

  constructor(db: Database, events: EventStore) {
    this.#db = db;
    this.#events = events;
  }

  async of(roomId: string, userId: string): Promise<Summary> {
    const { joined, invited, heroes } = await this.#keptFor(roomId, userId);
    return {
      ...(heroes ? { 'm.heroes': heroes.filter((hero) => hero !== userId).slice(0, MAX_HEROES) } : {}),
      'm.joined_member_count': joined,
      'm.invited_member_count': invited,
    };
  }

  async #keptFor(roomId: string, userId: string): Promise<Kept> {
    const kept = this.#kept.get(roomId);
    if (kept && !this.#events.stateChangedSince(roomId, kept.position)) return kept;
    const made = await this.#make(roomId, userId);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(roomId, made);
    return made;
  }

  async #make(roomId: string, viewer: string): Promise<Kept> {
    const position = this.#events.head;
    const ofMembers = and(eq(table.roomId, roomId), isNull(table.supersededAt), visibleTo(viewer));
    const counted = await this.#db
      .select({ membership: table.membership, members: count() })
      .from(table)
      .where(and(ofMembers, inArray(table.membership, ['join', 'invite'])))
      .groupBy(table.membership);
    const number = (membership: string) => counted.find((row) => row.membership === membership)?.members ?? 0;
    const named = await this.#events.state(roomId, viewer).getAll([
      ['m.room.name', ''],
      ['m.room.canonical_alias', ''],
    ]);
    const isNamed = named.some(({ content }) => Boolean(content.name) || Boolean(content.alias));
    const heroes = isNamed ? undefined : await this.#heroes(ofMembers);
    return { position, joined: number('join'), invited: number('invite'), heroes };
  }

  /** Those who are there; in a room that everybody else has left, those who were. One more than are shown: the viewer. */
  async #heroes(ofMembers: ReturnType<typeof and>): Promise<readonly string[]> {
    const first = (memberships: string[]) =>
      this.#db
        .select({ userId: table.stateKey })
        .from(table)
        .where(and(ofMembers, inArray(table.membership, memberships)))
        .orderBy(asc(table.position))
        .limit(MAX_HEROES + 1);
    const there = await first(['join', 'invite']);
    const found = there.length > 1 ? there : [...there, ...(await first(['leave', 'ban']))];
    return found.flatMap(({ userId }) => (userId === null ? [] : [userId]));
  }
}
