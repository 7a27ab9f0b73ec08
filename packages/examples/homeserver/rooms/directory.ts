// Aliases, and the public directory of rooms.

import type { Modules } from '@bulkhead/runtime';
import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Accounts } from '../accounts/accounts.js';
import type { HomeserverConfig } from '../config.js';
import type { Database } from '../db/database.js';
import { aliases, events, rooms, users } from '../db/schema.js';
import { aliasExists, forbidden, invalidParam, notFound, RefusedByModule, roomInUse } from '../errors.js';
import { isLocal, isRoomAlias } from '../ids.js';
import { membershipOf } from './event.js';
import type { EventStore } from './events.js';
import { PowerLevels } from './power-levels.js';
import { membershipIn } from './state.js';
import { blankEntry, type PublicRoom, SHOWN } from './summary.js';

export interface PublicRoomsPage {
  readonly chunk: readonly PublicRoom[];
  readonly total_room_count_estimate: number;
  readonly next_batch?: string;
  readonly prev_batch?: string;
}

export class Directory {
  readonly #db: Database;
  readonly #config: HomeserverConfig;
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  readonly #modules: Modules;

  constructor(db: Database, config: HomeserverConfig, accounts: Accounts, events: EventStore, modules: Modules) {
    this.#db = db;
    this.#config = config;
    this.#accounts = accounts;
    this.#events = events;
    this.#modules = modules;
  }

  /** Whether somebody else says where the alias leads. */
  isLocal = (alias: string): boolean => isLocal(alias, this.#config.serverName);

  /** The room behind an alias. A shadow-banned user's aliases exist for himself. */
  async resolve(alias: string, viewer: string): Promise<string> {
    if (!isRoomAlias(alias)) throw invalidParam(`${alias} is no room alias`);
    const [found] = await this.#db
      .select({ roomId: aliases.roomId, creator: aliases.creator, hidden: users.shadowBanned })
      .from(aliases)
      .leftJoin(users, eq(users.userId, aliases.creator))
      .where(eq(aliases.alias, alias));
    if (!found || (found.hidden && found.creator !== viewer)) throw notFound(`Room alias ${alias} not found`);
    return found.roomId;
  }

  async aliasesOf(roomId: string): Promise<readonly string[]> {
    const found = await this.#db
      .select({ alias: aliases.alias })
      .from(aliases)
      .where(eq(aliases.roomId, roomId))
      .orderBy(aliases.alias);
    return found.map(({ alias }) => alias);
  }

  async createAlias(userId: string, alias: string, roomId: string): Promise<void> {
    if ((await membershipIn(this.#events.state(roomId, userId), userId)) !== 'join')
      throw forbidden('You must be in the room to name it');
    await this.checkNewAlias(userId, alias, aliasExists);
    await this.insertAlias(this.#db, alias, roomId, userId, aliasExists);
  }

  async checkNewAlias(userId: string, alias: string, taken: () => Error = roomInUse): Promise<void> {
    if (!isRoomAlias(alias)) throw invalidParam(`${alias} is no room alias`);
    if (!isLocal(alias, this.#config.serverName)) throw invalidParam('The alias belongs to another server');
    const [existing] = await this.#db.select().from(aliases).where(eq(aliases.alias, alias));
    if (existing) throw taken();
    // There are no application services here; theirs are not asked about.
    const verdict = await this.#modules.spamChecker.userMayCreateRoomAlias(userId, alias);
    if (!verdict.allowed) throw new RefusedByModule(verdict);
  }

  async insertAlias(
    db: Database,
    alias: string,
    roomId: string,
    creator: string,
    taken: () => Error = roomInUse,
  ): Promise<void> {
    const inserted = await db
      .insert(aliases)
      .values({ alias, roomId, creator, createdTs: Date.now() })
      .onConflictDoNothing()
      .returning({ alias: aliases.alias });
    // Somebody else took it while the modules were asked.
    if (inserted.length === 0) throw taken();
  }

  /** The creator may, and whoever may say what the room is called. */
  async deleteAlias(userId: string, alias: string): Promise<void> {
    const roomId = await this.resolve(alias, userId);
    const [row] = await this.#db.select().from(aliases).where(eq(aliases.alias, alias));
    if (row?.creator !== userId && !(await this.#mayName(userId, roomId))) {
      throw forbidden('You may not delete this alias');
    }
    await this.#db.delete(aliases).where(eq(aliases.alias, alias));
  }

  async isPublished(roomId: string): Promise<boolean> {
    const [room] = await this.#db.select().from(rooms).where(eq(rooms.roomId, roomId));
    if (!room) throw notFound('Room not found');
    return room.published;
  }

  async setPublished(userId: string, roomId: string, published: boolean): Promise<void> {
    await this.isPublished(roomId);
    if (!(await this.#mayName(userId, roomId))) throw forbidden('You may not change the entry of this room');
    await this.checkPublish(userId, roomId);
    await this.#db.update(rooms).set({ published }).where(eq(rooms.roomId, roomId));
  }

  /** Aliases and the place among the published rooms go over to the room that replaces one. */
  async moveEntries(db: Database, from: string, to: string): Promise<void> {
    const published = db.select({ published: rooms.published }).from(rooms).where(eq(rooms.roomId, from));
    await db.update(aliases).set({ roomId: to }).where(eq(aliases.roomId, from));
    await db
      .update(rooms)
      .set({ published: sql`(${published})` })
      .where(eq(rooms.roomId, to));
    await db.update(rooms).set({ published: false }).where(eq(rooms.roomId, from));
  }

  /** Every change of a room's entry, in and out. */
  async checkPublish(userId: string, roomId: string): Promise<void> {
    const verdict = await this.#modules.spamChecker.userMayPublishRoom(userId, roomId);
    if (!verdict.allowed) throw new RefusedByModule(verdict);
  }

  /** The published rooms, the fullest first. @param since a page's `next_batch` or `prev_batch` */
  async publicRooms(
    limit: number,
    since: string | undefined,
    searchTerm: string | undefined,
  ): Promise<PublicRoomsPage> {
    const offset = since === undefined ? 0 : Number(/^n(\d{1,9})$/.exec(since)?.[1] ?? Number.NaN);
    if (Number.isNaN(offset)) throw invalidParam('Unknown token in since');
    const term = searchTerm?.toLowerCase();
    const found = (await this.#published()).filter(
      ({ name, topic, canonical_alias }) =>
        !term || [name, topic, canonical_alias].some((text) => text?.toLowerCase().includes(term)),
    );
    const end = offset + limit;
    return {
      chunk: found.slice(offset, end),
      total_room_count_estimate: found.length,
      ...(end < found.length ? { next_batch: `n${end}` } : {}),
      ...(offset > 0 ? { prev_batch: `n${Math.max(0, offset - limit)}` } : {}),
    };
  }

  async #published(): Promise<readonly PublicRoom[]> {
    const shown = await this.#db
      .select({
        roomId: events.roomId,
        type: events.type,
        content: events.content,
        joined: sql<number>`(
          select count(*)::int from events m
          where m.room_id = ${events.roomId} and m.membership = 'join'
            and m.superseded_at is null and m.only_for is null
        )`,
      })
      .from(events)
      .innerJoin(rooms, eq(rooms.roomId, events.roomId))
      .where(
        and(
          eq(rooms.published, true),
          isNull(events.supersededAt),
          isNull(events.onlyFor),
          eq(events.stateKey, ''),
          inArray(events.type, Object.keys(SHOWN)),
        ),
      );
    const found = new Map<string, PublicRoom>();
    for (const { roomId, type, content, joined } of shown) {
      const before = found.get(roomId) ?? { ...blankEntry(roomId), num_joined_members: joined };
      found.set(roomId, { ...before, ...SHOWN[type]?.(content) });
    }
    return [...found.values()].sort(
      (a, b) => b.num_joined_members - a.num_joined_members || (a.room_id < b.room_id ? -1 : 1),
    );
  }

  async #mayName(userId: string, roomId: string): Promise<boolean> {
    if (this.#accounts.isAdmin(userId)) return true;
    const state = this.#events.state(roomId, userId);
    const found = await state.getAll([
      ['m.room.create', ''],
      ['m.room.power_levels', ''],
      ['m.room.member', userId],
    ]);
    const find = (type: string) => found.find((event) => event.type === type);
    const own = find('m.room.member');
    if (!own || membershipOf(own) !== 'join') return false;
    const levels = new PowerLevels(find('m.room.power_levels'), find('m.room.create')?.sender);
    return levels.user(userId) >= levels.event('m.room.canonical_alias', true);
  }
}
