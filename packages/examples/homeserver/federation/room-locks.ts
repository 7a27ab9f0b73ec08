// One thing at a time with what other servers send into a room: an event is judged by those before it.

import { limitExceeded } from '../errors.js';

const MAX_WAITING = 100;
const RETRY_MS = 1000;

export class RoomLocks {
  readonly #rooms = new Map<string, { readonly last: Promise<unknown>; readonly waiting: number }>();

  /** @throws MatrixError 429 when too many wait for the room */
  async run<T>(roomId: string, work: () => Promise<T>): Promise<T> {
    const { last, waiting } = this.#rooms.get(roomId) ?? { last: Promise.resolve(), waiting: 0 };
    if (waiting >= MAX_WAITING) throw limitExceeded(RETRY_MS);
    const run = last.then(work);
    const over = run.then(
      () => undefined,
      () => undefined,
    );
    this.#rooms.set(roomId, { last: over, waiting: waiting + 1 });
    try {
      return await run;
    } finally {
      const now = this.#rooms.get(roomId);
      if (now?.last === over) this.#rooms.delete(roomId);
      else if (now) this.#rooms.set(roomId, { ...now, waiting: now.waiting - 1 });
    }
  }
}
