// Wakes the long polls. It says only that there may be something: who is woken looks for himself what he may see.

import { PRESENCE_ALL_USERS } from '@bulkhead/sdk/contract';

export type Interest = ReadonlySet<string> | typeof PRESENCE_ALL_USERS;

export class Notifier {
  readonly #pollers = new Set<Poller>();
  readonly #byRoom = new Map<string, Set<Poller>>();
  readonly #byUser = new Map<string, Set<Poller>>();
  #closed = false;

  /** Begins to listen. Do so before looking for news, or what comes between is lost. */
  listen(userId: string, signal: AbortSignal): Poller {
    const poller = new Poller(userId, signal, this.#byRoom, () => {
      this.#pollers.delete(poller);
      remove(this.#byUser, userId, poller);
    });
    this.#pollers.add(poller);
    add(this.#byUser, userId, poller);
    if (this.#closed) poller.end();
    return poller;
  }

  /** An event was stored that everybody in the room may see, and the users named (who may not be in it). */
  roomChanged(roomId: string, userIds: readonly string[]): void {
    for (const poller of this.#byRoom.get(roomId) ?? []) poller.wake();
    this.usersChanged(userIds);
  }

  usersChanged(userIds: readonly string[]): void {
    for (const userId of userIds) for (const poller of this.#byUser.get(userId) ?? []) poller.wake();
  }

  /** A user's presence changed: those who follow him wherever he is, and those who share a room with him. */
  presenceChanged(userId: string, roomIds: readonly string[]): void {
    for (const roomId of roomIds) for (const poller of this.#byRoom.get(roomId) ?? []) poller.wake();
    for (const poller of this.#pollers) if (poller.isInterestedIn(userId)) poller.wake();
  }

  /** Ends every long poll: its answer is what there is. */
  close(): void {
    this.#closed = true;
    for (const poller of this.#pollers) poller.end();
  }
}

export class Poller {
  readonly userId: string;
  readonly #byRoom: Map<string, Set<Poller>>;
  readonly #forget: () => void;
  readonly #signal: AbortSignal;
  readonly #rooms = new Set<string>();
  #interest: Interest = new Set();
  #woken = false;
  #ended = false;
  #wakeUp: (() => void) | undefined;

  constructor(userId: string, signal: AbortSignal, byRoom: Map<string, Set<Poller>>, forget: () => void) {
    this.userId = userId;
    this.#signal = signal;
    this.#byRoom = byRoom;
    this.#forget = forget;
    signal.addEventListener('abort', this.end, { once: true });
    if (signal.aborted) this.#ended = true;
  }

  /** The rooms and users whose news wake this one, besides the user's own. */
  follow(roomIds: readonly string[], interest: Interest): void {
    this.#interest = interest;
    for (const roomId of roomIds) {
      this.#rooms.add(roomId);
      add(this.#byRoom, roomId, this);
    }
  }

  isInterestedIn(userId: string): boolean {
    return userId === this.userId || this.#interest === PRESENCE_ALL_USERS || this.#interest.has(userId);
  }

  /** Nobody waits for an answer any more, or the server closes. */
  get ended(): boolean {
    return this.#ended;
  }

  wake(): void {
    this.#woken = true;
    this.#wakeUp?.();
  }

  readonly end = (): void => {
    this.#ended = true;
    this.wake();
  };

  /** Until there may be news (also such as came since the last time), or the time is over. */
  async wait(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wakeUp = undefined;
    }
    this.#woken = false;
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.end);
    for (const roomId of this.#rooms) remove(this.#byRoom, roomId, this);
    this.#forget();
  }
}

function add(index: Map<string, Set<Poller>>, key: string, poller: Poller): void {
  const pollers = index.get(key);
  if (pollers) pollers.add(poller);
  else index.set(key, new Set([poller]));
}

function remove(index: Map<string, Set<Poller>>, key: string, poller: Poller): void {
  const pollers = index.get(key);
  pollers?.delete(poller);
  if (pollers?.size === 0) index.delete(key);
}
