// Whose devices or keys have changed. Clients keep lists of the devices of those with whom they share encrypted rooms, and
// are told when a list is out of date.

import { gt } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { deviceListChanges, nextPosition } from '../db/schema.js';
import type { EventStore, Member } from '../rooms/events.js';
import { NOBODY } from '../rooms/rows.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';
import { isJoinedAt } from '../sync/rooms.js';
import type { SyncToken } from '../sync/token.js';

export interface DeviceListChanges {
  /** Whose devices the client should ask for. */
  readonly changed: readonly string[];
  /** Who shares no room with the user any more. */
  readonly left: readonly string[];
}

export class DeviceLists implements Part {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #notifier: Notifier;

  constructor(db: Database, events: EventStore, notifier: Notifier) {
    this.#db = db;
    this.#events = events;
    this.#notifier = notifier;
  }

  /** A user's devices or keys change in this transaction, which is one of `Changes`. */
  async mark(tx: Database, userId: string): Promise<void> {
    await tx
      .insert(deviceListChanges)
      .values({ userId })
      .onConflictDoUpdate({ target: deviceListChanges.userId, set: { position: nextPosition } });
  }

  /** Wakes those who share a room with the user. */
  async announce(userId: string): Promise<void> {
    this.#notifier.usersChanged([userId]);
    for (const roomId of await this.#events.joinedRooms(userId, NOBODY)) this.#notifier.roomChanged(roomId, []);
  }

  async collect({ userId, since, until, memberships }: View): Promise<Piece> {
    if (!since || (since.changes >= until.changes && since.events >= until.events)) return {};
    return { deviceLists: await this.between(userId, since, until, memberships) };
  }

  /** @param memberships the user's, in all his rooms */
  async between(
    userId: string,
    from: SyncToken,
    to: SyncToken,
    memberships: readonly Member[],
  ): Promise<DeviceListChanges> {
    const [came, went] = await this.#moved(userId, from, to, memberships);
    const marked = from.changes < to.changes ? await this.#changedAfter(from.changes) : [];
    const changed = new Set([...marked, ...came]);
    if (changed.size === 0 && went.size === 0) return { changed: [], left: [] };
    const sharing = await this.#events.sharingRooms(userId, [...new Set([...changed, ...went])]);
    return {
      changed: [...changed].filter((each) => sharing.has(each)),
      left: [...went].filter((each) => !sharing.has(each)),
    };
  }

  async #changedAfter(position: number): Promise<readonly string[]> {
    const found = await this.#db
      .select({ userId: deviceListChanges.userId })
      .from(deviceListChanges)
      .where(gt(deviceListChanges.position, position));
    return found.map(({ userId }) => userId);
  }

  /** Who has come into a room with the user, and who has gone: by their doing, or by his. */
  async #moved(
    userId: string,
    from: SyncToken,
    to: SyncToken,
    memberships: readonly Member[],
  ): Promise<readonly [came: ReadonlySet<string>, went: ReadonlySet<string>]> {
    if (from.events >= to.events) return [new Set(), new Set()];
    const joined = memberships.filter(({ membership }) => membership === 'join');
    const others = await this.#events.membershipChanges(joined.map(roomIdOf), userId, from.events, to.events);
    const who = (...wanted: string[]) =>
      others.filter(({ membership }) => wanted.includes(membership)).map((member) => member.userId);
    const came = new Set(who('join'));
    const went = new Set(who('leave', 'ban'));
    for (const { roomId, membership, position } of memberships.filter((own) => own.position > from.events)) {
      // In other rooms nobody needs the keys of anybody.
      if (!(await this.#events.state(roomId, userId).get('m.room.encryption', ''))) continue;
      const before = await isJoinedAt(this.#events, roomId, userId, from.events);
      if (before === (membership === 'join')) continue;
      // Who leaves is told of those whom he knew, and of nobody who came after him.
      const met = await this.#events.joinedIn(roomId, userId, before ? position : to.events);
      for (const each of met) (before ? went : came).add(each);
    }
    return [came, went];
  }
}

const roomIdOf = ({ roomId }: Member) => roomId;
