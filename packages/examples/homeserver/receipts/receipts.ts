// How far users have read. A receipt stands for everything up to its event, and only moves forwards.

import { and, desc, eq, gt, inArray, isNull, lte, ne, or, sql } from 'drizzle-orm';
import type { AccountData } from '../account-data/account-data.js';
import type { Database } from '../db/database.js';
import { nextPosition, receipts } from '../db/schema.js';
import { forbidden, notFound } from '../errors.js';
import { groupBy } from '../group.js';
import { isEventId } from '../ids.js';
import type { EventStore } from '../rooms/events.js';
import type { Author } from '../rooms/sender.js';
import { membershipIn } from '../rooms/state.js';
import type { Changes } from '../sync/changes.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';

export type ReceiptType = 'm.read' | 'm.read.private';

/** Where a receipt stands that concerns no thread. */
const NO_THREAD = '';

/** Of a room that the client does not know yet: its latest receipts, besides the user's own. */
const MAX_FIRST = 200;

type Receipt = typeof receipts.$inferSelect;

export class Receipts implements Part {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #accountData: AccountData;
  readonly #changes: Changes;
  readonly #notifier: Notifier;

  constructor(db: Database, events: EventStore, accountData: AccountData, changes: Changes, notifier: Notifier) {
    this.#db = db;
    this.#events = events;
    this.#accountData = accountData;
    this.#changes = changes;
    this.#notifier = notifier;
  }

  async set(author: Author, roomId: string, type: ReceiptType, eventId: string, threadId = NO_THREAD): Promise<void> {
    const { userId } = author;
    const eventPosition = await this.#positionIn(roomId, userId, eventId);
    const onlyFor = author.shadowBanned ? userId : null;
    const stored = await this.#changes.write((tx) =>
      tx
        .insert(receipts)
        .values({ roomId, userId, type, threadId, eventId, eventPosition, onlyFor, ts: Date.now() })
        .onConflictDoUpdate({
          target: [receipts.roomId, receipts.userId, receipts.type, receipts.threadId],
          set: { eventId, eventPosition, ts: Date.now(), position: nextPosition },
          setWhere: sql`${receipts.eventPosition} < ${eventPosition}`,
        })
        .returning({ position: receipts.position }),
    );
    if (stored.length === 0) return;
    if (type === 'm.read' && onlyFor === null) this.#notifier.roomChanged(roomId, []);
    else this.#notifier.usersChanged([userId]);
  }

  /** The user's own mark, which is account data of the room. */
  async setFullyRead({ userId }: Author, roomId: string, eventId: string): Promise<void> {
    const position = await this.#positionIn(roomId, userId, eventId);
    const before = (await this.#accountData.get(userId, roomId, 'm.fully_read'))?.event_id;
    const stands = typeof before === 'string' ? await this.#events.get(before, userId) : undefined;
    if (stands && stands.position > position) return;
    await this.#accountData.set(userId, roomId, 'm.fully_read', { event_id: eventId });
  }

  async collect({ userId, since, until, joined, begun }: View): Promise<Piece> {
    const news = !since || since.changes < until.changes;
    const known = joined.filter((roomId) => !begun.has(roomId));
    const found = [
      ...(news && known.length > 0 ? await this.#since(userId, known, since?.changes ?? 0, until.changes) : []),
      ...(await this.#own(userId, [...begun])),
    ];
    for (const roomId of begun) found.push(...(await this.#latest(userId, roomId)));
    return {
      ephemeral: new Map([...groupBy(found, (row) => row.roomId)].map(([roomId, rows]) => [roomId, eventsOf(rows)])),
    };
  }

  #since(userId: string, roomIds: readonly string[], after: number, until: number): Promise<readonly Receipt[]> {
    return this.#db
      .select()
      .from(receipts)
      .where(
        and(
          inArray(receipts.roomId, [...roomIds]),
          gt(receipts.position, after),
          lte(receipts.position, until),
          visibleTo(userId),
        ),
      );
  }

  async #own(userId: string, roomIds: readonly string[]): Promise<readonly Receipt[]> {
    if (roomIds.length === 0) return [];
    return this.#db
      .select()
      .from(receipts)
      .where(and(inArray(receipts.roomId, [...roomIds]), eq(receipts.userId, userId)));
  }

  #latest(userId: string, roomId: string): Promise<readonly Receipt[]> {
    return this.#db
      .select()
      .from(receipts)
      .where(and(eq(receipts.roomId, roomId), ne(receipts.userId, userId), visibleTo(userId)))
      .orderBy(desc(receipts.position))
      .limit(MAX_FIRST);
  }

  async #positionIn(roomId: string, userId: string, eventId: string): Promise<number> {
    if ((await membershipIn(this.#events.state(roomId, userId), userId)) !== 'join')
      throw forbidden('You are not in the room');
    const found = isEventId(eventId) ? await this.#events.get(eventId, userId) : undefined;
    if (found?.event.room_id !== roomId) throw notFound('There is no such event in this room');
    return found.position;
  }
}

const visibleTo = (userId: string) =>
  or(eq(receipts.userId, userId), and(ne(receipts.type, 'm.read.private'), isNull(receipts.onlyFor)));

/** One event for each thread: a user may have read to the same event in a thread and in the room. */
function eventsOf(rows: readonly Receipt[]) {
  const threads = groupBy(rows, ({ threadId }) => threadId);
  return [...threads.values()].map((ofThread) => ({ type: 'm.receipt', content: contentOf(ofThread) }));
}

function contentOf(rows: readonly Receipt[]) {
  const content: Record<string, Record<string, Record<string, object>>> = {};
  for (const { eventId, type, userId, ts, threadId } of rows) {
    content[eventId] ??= {};
    const types = content[eventId];
    types[type] ??= {};
    types[type][userId] = { ts, ...(threadId === NO_THREAD ? {} : { thread_id: threadId }) };
  }
  return content;
}
