// What a user's clients keep on the server, for themselves or for one room. Nobody else sees it.

import { and, eq, gt, inArray, lte, or } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { accountData, nextPosition } from '../db/schema.js';
import { groupBy } from '../group.js';
import type { Content } from '../rooms/event.js';
import type { Changes } from '../sync/changes.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';

/** Where data stands that belongs to no room. */
export const NO_ROOM = '';

export class AccountData implements Part {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #notifier: Notifier;

  constructor(db: Database, changes: Changes, notifier: Notifier) {
    this.#db = db;
    this.#changes = changes;
    this.#notifier = notifier;
  }

  get(userId: string, roomId: string, type: string): Promise<Content | undefined> {
    return read(this.#db, userId, roomId, type);
  }

  set(userId: string, roomId: string, type: string, content: Content): Promise<void> {
    return this.update(userId, roomId, type, () => content);
  }

  /** @param change gets what is stored, and says what shall be; `undefined`: leave it */
  async update(
    userId: string,
    roomId: string,
    type: string,
    change: (before: Content | undefined) => Content | undefined,
  ): Promise<void> {
    const changed = await this.#changes.write(async (tx) => {
      const content = change(await read(tx, userId, roomId, type));
      if (!content) return false;
      await tx
        .insert(accountData)
        .values({ userId, roomId, type, content })
        .onConflictDoUpdate({
          target: [accountData.userId, accountData.roomId, accountData.type],
          set: { content, position: nextPosition },
        });
      return true;
    });
    if (changed) this.#notifier.usersChanged([userId]);
  }

  async collect({ userId, since, until, joined, begun }: View): Promise<Piece> {
    if (since && since.changes >= until.changes && begun.size === 0) return {};
    const isNew = and(gt(accountData.position, since?.changes ?? 0), lte(accountData.position, until.changes));
    const found = await this.#db
      .select()
      .from(accountData)
      .where(and(eq(accountData.userId, userId), or(isNew, inArray(accountData.roomId, [...begun]))));
    const known = new Set(joined);
    const rooms = groupBy(
      found.filter(({ roomId }) => known.has(roomId)),
      (row) => row.roomId,
    );
    return {
      accountData: found.filter(({ roomId }) => roomId === NO_ROOM).map(eventOf),
      roomAccountData: new Map([...rooms].map(([roomId, rows]) => [roomId, rows.map(eventOf)])),
    };
  }
}

async function read(db: Database, userId: string, roomId: string, type: string): Promise<Content | undefined> {
  const [found] = await db
    .select({ content: accountData.content })
    .from(accountData)
    .where(and(eq(accountData.userId, userId), eq(accountData.roomId, roomId), eq(accountData.type, type)));
  return found?.content;
}

const eventOf = ({ type, content }: { readonly type: string; readonly content: Content }) => ({ type, content });
