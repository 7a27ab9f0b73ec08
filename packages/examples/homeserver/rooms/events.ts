// Events in the database: appended in one order for the whole server, read back by position, for a viewer.

import {
  and,
  asc,
  count,
  countDistinct,
  desc,
  eq,
  gt,
  inArray,
  isNotNull,
  isNull,
  lte,
  max,
  min,
  notInArray,
  or,
  type SQL,
  type SQLWrapper,
  sql,
} from 'drizzle-orm';
import { anyOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { events } from '../db/schema.js';
import { groupBy } from '../group.js';
import type { StrippedEvent } from './client-event.js';
import type { Content, EventDraft, RoomEvent } from './event.js';
import { Extremities } from './extremities.js';
import { insert, type NewEvent } from './insert.js';
import type { Page } from './paging.js';
import type { Extremity } from './pdu.js';
import { type RelationQuery, relatedPositions } from './relations.js';
import { eventOf, holdsAt, visibleTo } from './rows.js';
import { keyOf, type StateView } from './state.js';
import { StoredState } from './stored-state.js';

export type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock';

/** An event with what the database knows beside it. */
export interface StoredEvent {
  readonly position: number;
  readonly event: RoomEvent;
  readonly deviceId: string | null;
  readonly transactionId: string | null;
  readonly replaces: string | null;
  readonly previousContent: Content | null;
  readonly redactedBecause: RoomEvent | null;
}

export interface Member {
  readonly roomId: string;
  readonly userId: string;
  readonly membership: Membership;
  readonly position: number;
}

export interface JoinedMember {
  readonly userId: string;
  /** Of the membership event. */
  readonly content: Content;
}

/** Positions, both included. */
export type Range = readonly [from: number, to: number];

export type Direction = 'forwards' | 'backwards';

/** What can be asked of an event without reading it. */
export interface Columns {
  readonly type: SQLWrapper;
  readonly sender: SQLWrapper;
}

export interface Survey {
  /** Positions, in the order of the direction. */
  readonly fitting: readonly number[];
  /** Where it ended, when there may be more behind it. */
  readonly last: number | undefined;
}

const MAX_KEPT_STATES = 1000;
const MAX_KEPT_EVENTS = 200;

export class EventStore {
  readonly #db: Database;
  readonly #extremities: Extremities;
  /** Takes part in every transaction that stores events, at its end. @returns what to do once it is committed */
  onAppend: ((tx: Database, stored: readonly NewEvent[]) => Promise<() => void>) | undefined;
  #head = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** Where the state of each room last changed; of a room that is not in here, somewhere before the start. */
  readonly #stateChanges = new Map<string, number>();
  #start = 0;
  /** Views of the present state with what was already read of them, the least used first. */
  readonly #present = new Map<string, StoredState>();

  constructor(db: Database) {
    this.#db = db;
    this.#extremities = new Extremities(db);
  }

  async open(): Promise<void> {
    this.#start = await lastPosition(this.#db);
    this.#head = this.#start;
  }

  /** The position of the last event that is stored. */
  get head(): number {
    return this.#head;
  }

  /**
   * Stores events, all or none. One transaction at a time, so positions are committed in their order and a sync token
   * never passes an event that is still to come. Modules are asked before, never in here: one that sends an event while
   * it is asked would wait for itself.
   * @param make runs first in the transaction, where nothing comes between: a last look at the state, rows that belong
   *   to the events
   * @returns what was stored
   */
  append(make: (tx: Database) => Promise<readonly NewEvent[]>): Promise<readonly NewEvent[]> {
    const run = this.#queue.then(async () => {
      const { fresh, positions, advanced, sent } = await this.#db.transaction(async (tx) => {
        const fresh = await make(tx);
        const positions: number[] = [];
        for (const item of fresh) positions.push(await insert(tx, item));
        const advanced = await this.#extremities.advance(tx, fresh);
        return { fresh, positions, advanced, sent: await this.onAppend?.(tx, fresh) };
      });
      advanced();
      for (const [index, { event, branch }] of fresh.entries()) {
        const position = positions[index] ?? 0;
        // A redaction may have taken something out of the state.
        const changesState =
          event.state_key !== undefined || event.redacts !== undefined || branch?.resolved !== undefined;
        if (changesState) this.#stateChanges.set(event.room_id, position);
        this.#head = Math.max(this.#head, position);
      }
      sent?.();
      return fresh;
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  /** The events of a room that a new one of `viewer`'s comes after. @param db the transaction that is to store it */
  extremities(roomId: string, viewer: string, db = this.#db): Promise<readonly Extremity[]> {
    return this.#extremities.of(roomId, viewer, db);
  }

  /** The state of a room as `viewer` sees it, now. */
  state(roomId: string, viewer: string): StateView {
    const key = `${roomId}\0${viewer}`;
    const known = this.#present.get(key);
    this.#present.delete(key);
    const stands = known && !this.stateChangedSince(roomId, known.position) && known.size < MAX_KEPT_EVENTS;
    const state = stands ? known : new StoredState(this.#db, roomId, viewer, this.#head);
    this.#present.set(key, state);
    const [leastUsed] = this.#present.keys();
    if (this.#present.size > MAX_KEPT_STATES && leastUsed !== undefined) this.#present.delete(leastUsed);
    return state;
  }

  /** The same at an earlier position, or within a transaction. */
  stateAt(roomId: string, viewer: string, position = this.#head, db = this.#db): StateView {
    return new StoredState(db, roomId, viewer, position);
  }

  stateChangedSince(roomId: string, position: number): boolean {
    return (this.#stateChanges.get(roomId) ?? this.#start) > position;
  }

  async get(eventId: string, viewer: string, db = this.#db): Promise<StoredEvent | undefined> {
    const [found] = await select(db, and(eq(events.eventId, eventId), visibleTo(viewer)), 'forwards', 1);
    return found;
  }

  /** The event that a device has made already with the same request. */
  async byTransaction(draft: EventDraft, deviceId: string, transactionId: string): Promise<string | undefined> {
    const { redacts } = draft.type === 'm.room.redaction' ? draft.content : {};
    const [found] = await this.#db
      .select({ eventId: events.eventId })
      .from(events)
      .where(
        and(
          eq(events.sender, draft.sender),
          eq(events.deviceId, deviceId),
          eq(events.transactionId, transactionId),
          eq(events.roomId, draft.room_id),
          eq(events.type, draft.type),
          redacts === undefined ? undefined : eq(events.redacts, String(redacts)),
        ),
      );
    return found?.eventId;
  }

  /** What another server has told of its room with an invite. */
  async inviteState(eventId: string): Promise<readonly StrippedEvent[]> {
    const [found] = await this.#db.select({ told: events.inviteState }).from(events).where(eq(events.eventId, eventId));
    return found?.told ?? [];
  }

  /** Events of a room within the ranges, at most `limit`, in the order of the direction. */
  async page(
    roomId: string,
    viewer: string,
    ranges: readonly Range[],
    direction: Direction,
    limit: number,
  ): Promise<readonly StoredEvent[]> {
    if (ranges.length === 0) return [];
    return select(this.#db, and(eq(events.roomId, roomId), isWithin(ranges), visibleTo(viewer)), direction, limit);
  }

  /** Goes over events of a room, at most `limit`, without reading them: which of them meet a condition. */
  async survey(
    roomId: string,
    viewer: string,
    ranges: readonly Range[],
    direction: Direction,
    limit: number,
    condition: (columns: Columns) => SQL | undefined,
  ): Promise<Survey> {
    if (ranges.length === 0) return { fitting: [], last: undefined };
    const { position, type, sender } = events;
    const isBackwards = direction === 'backwards';
    const order = isBackwards ? desc : asc;
    const seen = this.#db
      .select({ position, type, sender })
      .from(events)
      .where(and(eq(events.roomId, roomId), isWithin(ranges), visibleTo(viewer)))
      .orderBy(order(position))
      .limit(limit)
      .as('seen');
    const [found] = await this.#db
      .select({
        fitting: sql<readonly number[] | null>`json_agg(${seen.position} order by ${order(seen.position)})
          filter (where ${condition(seen) ?? sql`true`})`,
        seen: count(),
        last: (isBackwards ? min : max)(seen.position),
      })
      .from(seen);
    const isCut = found?.seen === limit && found.last !== null;
    return { fitting: found?.fitting ?? [], last: isCut ? Number(found.last) : undefined };
  }

  /** The events at some positions. */
  at(positions: readonly number[], direction: Direction): Promise<readonly StoredEvent[]> {
    return select(this.#db, inArray(events.position, [...positions]), direction);
  }

  /** Events of a room that relate to one of them: the page's, and one more. */
  async related(roomId: string, viewer: string, query: RelationQuery, page: Page): Promise<readonly StoredEvent[]> {
    if (page.ranges.length === 0) return [];
    const positions = await relatedPositions(this.#db, roomId, viewer, query, page);
    return positions.length === 0 ? [] : this.at(positions, page.direction);
  }

  /** Which of the rooms have events after a position. */
  async roomsWithNews(roomIds: readonly string[], viewer: string, after: number, until: number): Promise<string[]> {
    if (roomIds.length === 0 || after >= until) return [];
    const found = await this.#db
      .selectDistinct({ roomId: events.roomId })
      .from(events)
      .where(
        and(
          inArray(events.roomId, [...roomIds]),
          gt(events.position, after),
          lte(events.position, until),
          visibleTo(viewer),
        ),
      );
    return found.map(({ roomId }) => roomId);
  }

  /** State events that hold at a position and were not yet there at an earlier one. */
  async stateSince(
    roomId: string,
    viewer: string,
    after: number,
    at: number,
    withMembers = true,
  ): Promise<readonly StoredEvent[]> {
    const found = await select(
      this.#db,
      and(
        eq(events.roomId, roomId),
        gt(events.position, after),
        holdsAt(at),
        // As the index has it, which leads past the members.
        withMembers ? undefined : sql`${events.type} <> 'm.room.member'`,
        visibleTo(viewer),
      ),
      'forwards',
    );
    return lastOfEachKey(found);
  }

  /** The membership events of some users, as they held at a position. */
  async membersAt(
    roomId: string,
    viewer: string,
    userIds: readonly string[],
    at: number,
  ): Promise<readonly StoredEvent[]> {
    if (userIds.length === 0) return [];
    const found = await select(
      this.#db,
      and(
        eq(events.roomId, roomId),
        eq(events.type, 'm.room.member'),
        inArray(events.stateKey, [...userIds]),
        holdsAt(at),
        visibleTo(viewer),
      ),
      'forwards',
    );
    return lastOfEachKey(found);
  }

  /** The present memberships, of those that changed between two positions. */
  async membershipChanges(
    roomIds: readonly string[],
    viewer: string,
    after: number,
    until: number,
    userIds?: readonly string[],
  ): Promise<readonly Member[]> {
    const changed = roomIds.filter((roomId) => this.stateChangedSince(roomId, after));
    if (changed.length === 0 || after >= until || userIds?.length === 0) return [];
    return members(
      this.#db,
      and(
        inArray(events.roomId, changed),
        gt(events.position, after),
        lte(events.position, until),
        isNull(events.supersededAt),
        userIds && inArray(events.stateKey, [...userIds]),
        visibleTo(viewer),
      ),
    );
  }

  /** A user's present membership in every room that he ever was in. */
  async membershipsOf(userId: string, viewer = userId): Promise<readonly Member[]> {
    return members(this.#db, and(eq(events.stateKey, userId), isNull(events.supersededAt), visibleTo(viewer)));
  }

  /** Each membership that a user had in a room, and each history visibility that it had, oldest first. */
  async historyOf(roomId: string, userId: string): Promise<readonly StoredEvent[]> {
    return (await this.historiesOf([roomId], userId)).get(roomId) ?? [];
  }

  /** The same of several rooms. */
  async historiesOf(roomIds: readonly string[], userId: string): Promise<ReadonlyMap<string, readonly StoredEvent[]>> {
    if (roomIds.length === 0) return new Map();
    const ofUser = and(eq(events.type, 'm.room.member'), eq(events.stateKey, userId));
    const ofRoom = and(eq(events.type, 'm.room.history_visibility'), eq(events.stateKey, ''));
    const where = and(anyOf(events.roomId, roomIds), or(ofUser, ofRoom), visibleTo(userId));
    return groupBy(await select(this.#db, where, 'forwards'), ({ event }) => event.room_id);
  }

  /** Those of the candidates who are in a room with `userId`, himself included, as `viewer` sees it. */
  async sharingRooms(userId: string, candidates: readonly string[], viewer = userId): Promise<ReadonlySet<string>> {
    const own = candidates.includes(userId) ? [userId] : [];
    if (candidates.length === 0) return new Set();
    const roomIds = await this.joinedRooms(userId, viewer);
    return new Set([...own, ...(await this.joinedAmong(roomIds, candidates, viewer))]);
  }

  /** Those of the candidates who are in one of the rooms. */
  async joinedAmong(
    roomIds: readonly string[],
    candidates: readonly string[],
    viewer: string,
  ): Promise<ReadonlySet<string>> {
    if (roomIds.length === 0 || candidates.length === 0) return new Set();
    return this.#joined(and(inArray(events.stateKey, [...candidates]), inArray(events.roomId, [...roomIds])), viewer);
  }

  /** Everybody who is in a room, and was so at a position. */
  async joinedIn(roomId: string, viewer: string, at: number): Promise<ReadonlySet<string>> {
    return this.#joined(and(eq(events.roomId, roomId), lte(events.position, at)), viewer);
  }

  async #joined(where: SQL | undefined, viewer: string): Promise<ReadonlySet<string>> {
    const found = await members(this.#db, and(where, isNull(events.supersededAt), visibleTo(viewer)));
    return new Set(found.filter(({ membership }) => membership === 'join').map(({ userId }) => userId));
  }

  async joinedMembers(roomId: string, viewer: string): Promise<readonly JoinedMember[]> {
    const found = await this.#db
      .selectDistinctOn([events.stateKey], {
        userId: events.stateKey,
        membership: events.membership,
        content: events.content,
      })
      .from(events)
      .where(and(isPresent(roomId, viewer), isNotNull(events.membership)))
      .orderBy(events.stateKey, desc(events.position));
    return found.flatMap(({ userId, membership, content }) =>
      userId !== null && membership === 'join' ? [{ userId, content }] : [],
    );
  }

  async countMembers(roomId: string, viewer: string): Promise<number> {
    const [found] = await this.#db
      .select({ joined: countDistinct(events.stateKey) })
      .from(events)
      .where(and(isPresent(roomId, viewer), eq(events.membership, 'join')));
    return found?.joined ?? 0;
  }

  /** A member of a server who is none of those named. */
  async anyMember(
    roomId: string,
    viewer: string,
    server: string,
    named: readonly string[],
  ): Promise<string | undefined> {
    const ofServer = sql`right(${events.stateKey}, ${server.length + 1}) = ${`:${server}`}`;
    const isOther = named.length === 0 ? undefined : notInArray(events.stateKey, [...named]);
    const [found] = await this.#db
      .select({ userId: events.stateKey })
      .from(events)
      .where(and(isPresent(roomId, viewer), eq(events.membership, 'join'), ofServer, isOther))
      .limit(1);
    return found?.userId ?? undefined;
  }

  async joinedRooms(userId: string, viewer = userId): Promise<readonly string[]> {
    const memberships = await this.membershipsOf(userId, viewer);
    return memberships.filter(({ membership }) => membership === 'join').map(({ roomId }) => roomId);
  }
}

async function select(
  db: Database,
  where: SQL | undefined,
  direction: Direction,
  limit?: number,
): Promise<readonly StoredEvent[]> {
  const query = db
    .select()
    .from(events)
    .where(where)
    .orderBy(direction === 'forwards' ? asc(events.position) : desc(events.position));
  const found = await (limit === undefined ? query : query.limit(limit));
  const others = await byId(
    db,
    found.flatMap(({ replaces, redactedBy }) => [replaces, redactedBy]).filter((id) => id !== null),
  );
  return found.map((row) => {
    const because = others.get(row.redactedBy);
    return {
      position: row.position,
      event: eventOf(row),
      deviceId: row.deviceId,
      transactionId: row.transactionId,
      replaces: row.replaces,
      previousContent: others.get(row.replaces)?.content ?? null,
      redactedBecause: because ? eventOf(because) : null,
    };
  });
}

/** A query of its own: with a join, PostgreSQL may read the whole table to find a few events. */
async function byId(db: Database, ids: readonly string[]) {
  const found = ids.length === 0 ? [] : await db.select().from(events).where(anyOf(events.eventId, ids));
  return new Map<string | null, (typeof found)[number]>(found.map((row) => [row.eventId, row]));
}

const isPresent = (roomId: string, viewer: string) =>
  and(eq(events.roomId, roomId), isNull(events.supersededAt), visibleTo(viewer));

const isWithin = (ranges: readonly Range[]) =>
  or(...ranges.map(([from, to]) => sql`${events.position} between ${from} and ${to}`));

/** Of what different viewers hold to be the state under a key, the latest that this one sees. */
const lastOfEachKey = (found: readonly StoredEvent[]) => [
  ...new Map(found.map((item) => [keyOf(item.event.type, item.event.state_key ?? ''), item])).values(),
];

async function members(db: Database, where: SQL | undefined): Promise<readonly Member[]> {
  const found = await db
    .selectDistinctOn([events.roomId, events.stateKey], {
      roomId: events.roomId,
      userId: events.stateKey,
      membership: events.membership,
      position: events.position,
    })
    .from(events)
    .where(and(isNotNull(events.membership), where))
    .orderBy(events.roomId, events.stateKey, desc(events.position));
  return found as Member[];
}

async function lastPosition(db: Database): Promise<number> {
  const [found] = await db.select({ position: max(events.position) }).from(events);
  return found?.position ?? 0;
}
