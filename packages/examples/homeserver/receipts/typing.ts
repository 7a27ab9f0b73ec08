// Who is typing where. Kept in memory: after a restart nobody is.

import { forbidden } from '../errors.js';
import type { EventStore } from '../rooms/events.js';
import type { Author } from '../rooms/sender.js';
import { membershipIn } from '../rooms/state.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';

interface Room {
  /** Whose clients told, with the timer that ends it. */
  readonly typing: Map<string, NodeJS.Timeout>;
  position: number;
}

export class Typing implements Part {
  readonly #events: EventStore;
  readonly #notifier: Notifier;
  readonly #rooms = new Map<string, Room>();
  /** Begins at the time, as presence does. */
  #position = Date.now();

  constructor(events: EventStore, notifier: Notifier) {
    this.#events = events;
    this.#notifier = notifier;
  }

  get position(): number {
    return this.#position;
  }

  /** @param forMs how long, unless the client says so again; 0 ends it */
  async set({ userId, shadowBanned }: Author, roomId: string, forMs: number): Promise<void> {
    if ((await membershipIn(this.#events.state(roomId, userId), userId)) !== 'join')
      throw forbidden('You are not in the room');
    // Nobody but himself would see it.
    if (shadowBanned) return;
    const room = this.#rooms.get(roomId) ?? { typing: new Map(), position: 0 };
    this.#rooms.set(roomId, room);
    const before = room.typing.get(userId);
    clearTimeout(before);
    if (forMs > 0) {
      const end = setTimeout(() => this.#end(roomId, room, userId), forMs);
      end.unref();
      room.typing.set(userId, end);
      if (!before) this.#changed(roomId, room);
    } else if (before) this.#end(roomId, room, userId);
  }

  close(): void {
    for (const { typing } of this.#rooms.values()) for (const timer of typing.values()) clearTimeout(timer);
  }

  async collect({ since, until, joined, begun }: View): Promise<Piece> {
    if (since && since.typing >= until.typing && begun.size === 0) return {};
    const ephemeral = new Map<string, readonly Record<string, unknown>[]>();
    for (const roomId of joined) {
      const room = this.#rooms.get(roomId);
      if (!room) continue;
      const isNew = since && !begun.has(roomId) ? room.position > since.typing : room.typing.size > 0;
      if (isNew) ephemeral.set(roomId, [{ type: 'm.typing', content: { user_ids: [...room.typing.keys()] } }]);
    }
    return { ephemeral };
  }

  #end(roomId: string, room: Room, userId: string): void {
    room.typing.delete(userId);
    this.#changed(roomId, room);
  }

  #changed(roomId: string, room: Room): void {
    room.position = ++this.#position;
    this.#notifier.roomChanged(roomId, []);
  }
}
