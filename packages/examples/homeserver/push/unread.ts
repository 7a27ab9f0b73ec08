// How much there is in a room that a user has not read and wants to be told of. Counted when somebody asks, and from then
// on carried forward: an event costs nothing for members who do not sync.

import { and, eq, inArray, max } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { receipts } from '../db/schema.js';
import type { EventStore } from '../rooms/events.js';
import { level, PowerLevels, record } from '../rooms/power-levels.js';
import type { View } from '../sync/part.js';
import type { Summaries } from '../sync/summary.js';
import { evaluate, type RoomContext } from './evaluate.js';
import type { Ruleset } from './predefined.js';
import type { PushRules } from './push-rules.js';

export interface UnreadCounts {
  readonly notification_count: number;
  readonly highlight_count: number;
}

interface Kept extends UnreadCounts {
  readonly readUntil: number;
  readonly countedUntil: number;
  readonly rulesPosition: number;
}

/** The latest so many events are looked at, however many there are: clients show "99+". */
const MAX_COUNTED = 200;
const MAX_KEPT = 10_000;
const DEFAULT_NOTIFICATION_LEVEL = 50;

export class Unread {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #pushRules: PushRules;
  readonly #summaries: Summaries;
  /** By user and room, the longest unused first. */
  readonly #kept = new Map<string, Kept>();

  constructor(db: Database, events: EventStore, pushRules: PushRules, summaries: Summaries) {
    this.#db = db;
    this.#events = events;
    this.#pushRules = pushRules;
    this.#summaries = summaries;
  }

  async of(view: View, roomIds: readonly string[]): Promise<ReadonlyMap<string, UnreadCounts>> {
    const counts = new Map<string, UnreadCounts>();
    if (roomIds.length === 0) return counts;
    const { userId, until } = view;
    const { rules, position } = await this.#pushRules.read(userId);
    const read = await this.#readUntil(userId, roomIds);
    for (const roomId of roomIds) {
      const key = `${userId}\0${roomId}`;
      const state = { readUntil: read.get(roomId) ?? 0, countedUntil: until.events, rulesPosition: position };
      const kept = this.#kept.get(key);
      const counted = await this.#count(view, roomId, rules, state, kept && stillHolds(kept, state) ? kept : undefined);
      this.#keep(key, { ...counted, ...state });
      counts.set(roomId, counted);
    }
    return counts;
  }

  /** What a user has sent himself he has read, and everything before it. */
  async #count(
    view: View,
    roomId: string,
    rules: Ruleset,
    { readUntil, countedUntil }: Pick<Kept, 'readUntil' | 'countedUntil'>,
    before: Kept | undefined,
  ): Promise<UnreadCounts> {
    const { userId } = view;
    const from = before?.countedUntil ?? readUntil;
    const { notification_count = 0, highlight_count = 0 } = before ?? {};
    const counts = { notification_count, highlight_count };
    if (from >= countedUntil) return counts;
    const page = await this.#events.page(roomId, userId, [[from + 1, countedUntil]], 'backwards', MAX_COUNTED);
    const own = page.findIndex(({ event }) => event.sender === userId);
    if (own >= 0) Object.assign(counts, { notification_count: 0, highlight_count: 0 });
    const unread = own < 0 ? page : page.slice(0, own);
    if (unread.length === 0) return counts;
    const room = await this.#contextOf(roomId, view);
    for (const { event } of unread) {
      const { notify, highlight } = evaluate(rules, event, room);
      if (notify) counts.notification_count++;
      if (highlight) counts.highlight_count++;
    }
    return counts;
  }

  async #contextOf(roomId: string, view: View): Promise<RoomContext> {
    const { userId } = view;
    const state = this.#events.state(roomId, userId);
    const member = await state.get('m.room.member', userId);
    const levels = await state.get('m.room.power_levels', '');
    const power = new PowerLevels(levels, (await state.get('m.room.create', ''))?.sender);
    const notifications = record(levels?.content.notifications);
    const { displayname } = member?.content ?? {};
    return {
      members: (await this.#summaries.of(roomId, view))['m.joined_member_count'],
      displayName: typeof displayname === 'string' ? displayname : undefined,
      mayNotify: (sender, key) => power.user(sender) >= (level(notifications[key]) ?? DEFAULT_NOTIFICATION_LEVEL),
    };
  }

  async #readUntil(userId: string, roomIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = await this.#db
      .select({ roomId: receipts.roomId, position: max(receipts.eventPosition) })
      .from(receipts)
      .where(and(inArray(receipts.roomId, [...roomIds]), eq(receipts.userId, userId)))
      .groupBy(receipts.roomId);
    return new Map(found.map(({ roomId, position }) => [roomId, position ?? 0]));
  }

  #keep(key: string, counted: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, counted);
    const [unused] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && unused !== undefined) this.#kept.delete(unused);
  }
}

const stillHolds = (kept: Kept, now: Pick<Kept, 'readUntil' | 'countedUntil' | 'rulesPosition'>) =>
  kept.readUntil === now.readUntil && kept.rulesPosition === now.rulesPosition && kept.countedUntil <= now.countedUntil;
