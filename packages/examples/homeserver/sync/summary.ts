// What a client needs to name a room whose members it has not loaded. The same for all members but the shadow-banned, hence
// kept until the state of the room changes.

import { and, asc, count, eq, gt, isNotNull, isNull, max } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { resolvedKeys, events as table } from '../db/schema.js';
import { membershipOf } from '../rooms/event.js';
import type { EventStore } from '../rooms/events.js';
import { NOBODY, visibleTo } from '../rooms/rows.js';
import type { View } from './part.js';

export interface Summary {
  readonly 'm.heroes'?: readonly string[];
  readonly 'm.joined_member_count': number;
  readonly 'm.invited_member_count': number;
}

interface Counts {
  /** The last membership that is counted. */
  readonly at: number;
  readonly joined: number;
  readonly invited: number;
}

interface Kept {
  readonly counts: Counts;
  readonly position: number;
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

  async of(roomId: string, { userId, shadowBanned }: Pick<View, 'userId' | 'shadowBanned'>): Promise<Summary> {
    const { counts, heroes } = await this.#keptFor(roomId, shadowBanned ? userId : NOBODY);
    return {
      ...(heroes ? { 'm.heroes': heroes.filter((hero) => hero !== userId).slice(0, MAX_HEROES) } : {}),
      'm.joined_member_count': counts.joined,
      'm.invited_member_count': counts.invited,
    };
  }

  async #keptFor(roomId: string, viewer: string): Promise<Kept> {
    const key = `${roomId}\0${viewer}`;
    const kept = this.#kept.get(key);
    if (kept && !this.#events.stateChangedSince(roomId, kept.position)) return kept;
    const position = this.#events.head;
    const counts =
      (kept && (await this.#carriedOn(roomId, viewer, kept.counts))) ?? (await this.#count(roomId, viewer));
    const heroes = (await this.#isNamed(roomId, viewer)) ? undefined : await this.#heroes(roomId, viewer);
    const made = { counts, position, heroes };
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, made);
    return made;
  }

  async #count(roomId: string, viewer: string): Promise<Counts> {
    const { membership, position } = table;
    const counted = await this.#db
      .select({ membership, members: count(), last: max(position) })
      .from(table)
      .where(and(isPresent(roomId, viewer), isNotNull(membership)))
      .groupBy(membership);
    const number = (wanted: string) => counted.find((row) => row.membership === wanted)?.members ?? 0;
    return {
      at: Math.max(0, ...counted.map(({ last }) => last ?? 0)),
      joined: number('join'),
      invited: number('invite'),
    };
  }

  /**
   * The same with what has changed since: in a room of thousands, nobody is counted again because one has a new name.
   * @returns `undefined` where state resolution may have brought back older events
   */
  async #carriedOn(roomId: string, viewer: string, counts: Counts): Promise<Counts | undefined> {
    const resolved = await this.#db
      .select({ position: resolvedKeys.position })
      .from(resolvedKeys)
      .where(and(eq(resolvedKeys.roomId, roomId), gt(resolvedKeys.position, counts.at)))
      .limit(1);
    if (resolved.length > 0) return undefined;
    const after = await this.#events.membershipChanges([roomId], viewer, counts.at, Number.MAX_SAFE_INTEGER);
    const users = after.map(({ userId }) => userId);
    const before = await this.#events.membersAt(roomId, viewer, users, counts.at);
    const change = (wanted: string) =>
      after.filter(({ membership }) => membership === wanted).length -
      before.filter(({ event }) => membershipOf(event) === wanted).length;
    return {
      ...counts,
      at: Math.max(counts.at, ...after.map(({ position }) => position)),
      joined: counts.joined + change('join'),
      invited: counts.invited + change('invite'),
    };
  }

  async #isNamed(roomId: string, viewer: string): Promise<boolean> {
    const named = await this.#events.state(roomId, viewer).getAll([
      ['m.room.name', ''],
      ['m.room.canonical_alias', ''],
    ]);
    return named.some(({ content }) => Boolean(content.name) || Boolean(content.alias));
  }

  /** Those who are there; in a room that everybody else has left, those who were. One more than are shown: the viewer. */
  async #heroes(roomId: string, viewer: string): Promise<readonly string[]> {
    const there = await this.#first(roomId, viewer, ['join', 'invite']);
    return there.length > 1 ? there : [...there, ...(await this.#first(roomId, viewer, ['leave', 'ban']))];
  }

  /** Each membership by itself: that is the index's order, so only so many rows are read. */
  async #first(roomId: string, viewer: string, memberships: readonly string[]): Promise<readonly string[]> {
    const found = memberships.map((membership) =>
      this.#db
        .select({ userId: table.stateKey, position: table.position })
        .from(table)
        .where(and(isPresent(roomId, viewer), eq(table.membership, membership)))
        .orderBy(asc(table.position))
        .limit(MAX_HEROES + 1),
    );
    return (await Promise.all(found))
      .flat()
      .toSorted((a, b) => a.position - b.position)
      .slice(0, MAX_HEROES + 1)
      .flatMap(({ userId }) => (userId === null ? [] : [userId]));
  }
}

const isPresent = (roomId: string, viewer: string) =>
  and(eq(table.roomId, roomId), isNull(table.supersededAt), visibleTo(viewer));
