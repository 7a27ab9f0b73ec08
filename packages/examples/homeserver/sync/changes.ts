// What reaches clients besides events: account data, receipts, messages between devices, changes of devices and keys. All
// of it has its place in one order, so that one number in the sync token says how much of it a client has.

import { sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';

export class Changes {
  readonly #db: Database;
  #head = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(db: Database) {
    this.#db = db;
  }

  async open(): Promise<void> {
    this.#head = await lastPosition(this.#db);
  }

  /** The position of the last change that is stored. */
  get head(): number {
    return this.#head;
  }

  /**
   * Stores a change; every row that it touches takes the next position of the sequence. One at a time, so that a token
   * never passes a row that is still to come, and so that `work` may read what it is about to change.
   */
  write<T>(work: (tx: Database) => Promise<T>): Promise<T> {
    const run = this.#queue.then(async () => {
      const [result, head] = await this.#db.transaction(
        async (tx) => [await work(tx), await lastPosition(tx)] as const,
      );
      this.#head = head;
      return result;
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }
}

async function lastPosition(db: Database): Promise<number> {
  const found = await db.execute<{ position: string }>(
    // A new sequence says 1 before it has given any number.
    sql`select case when is_called then last_value else 0 end as position from changes`,
  );
  return Number(found.rows[0]?.position ?? 0);
}
