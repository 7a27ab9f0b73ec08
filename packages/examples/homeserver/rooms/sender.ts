// The way of an event that is made on this server: built, shown to the modules, authorised, stored, told to those who wait.
//
//   checkEventAllowed -> (replacement: rebuilt) -> authorisation -> checkEventForSpam -> authorised again if the room changed, stored
//
// Nothing is locked while modules are asked. They may take their time, and may send events of their own meanwhile.

import { isDeepStrictEqual } from 'node:util';
import type { Modules } from '@bulkhead/runtime';
import { forbidden, RefusedByModule } from '../errors.js';
import type { Notifier } from '../sync/notifier.js';
import { authKeys, authorise, authStateFor } from './authorise.js';
import { buildEvent, type EventDraft, ROOM_VERSION, type RoomEvent } from './event.js';
import type { EventStore } from './events.js';
import type { StateView } from './state.js';

/** On whose behalf an event is made. */
export interface Author {
  readonly userId: string;
  readonly shadowBanned: boolean;
  readonly deviceId?: string | undefined;
}

export class Sender {
  readonly #events: EventStore;
  readonly #modules: Modules;
  readonly #notifier: Notifier;

  constructor(events: EventStore, modules: Modules, notifier: Notifier) {
    this.#events = events;
    this.#modules = modules;
    this.#notifier = notifier;
  }

  /** @returns the event's id; for state that is so already, the id of the event that says so */
  async send(author: Author, draft: EventDraft, transactionId?: string): Promise<string> {
    const asked = this.#events.head;
    const before = this.#events.state(draft.room_id, author.userId);
    // All that the authorisation will look at, in one query.
    await before.getAll(authKeys(draft));
    if (!(await before.get('m.room.create', ''))) throw forbidden('You are not in the room');
    const event = await this.prepare(draft, before);
    const same = await unchanged(event, before);
    if (same) return same.event_id;

    const onlyFor = author.shadowBanned ? author.userId : null;
    const { deviceId } = author;
    await this.#events.append([{ event, onlyFor, deviceId, transactionId }], async (tx) => {
      // The room may have changed while the modules were asked.
      if (!this.#events.stateChangedSince(event.room_id, asked)) return;
      const now = this.#events.stateAt(event.room_id, author.userId, this.#events.head, tx);
      authorise(event, await authStateFor(event, now));
    });
    this.announce([event], onlyFor);
    return event.event_id;
  }

  /** Takes a draft through everything that comes before it is stored. */
  async prepare(draft: EventDraft, before: StateView): Promise<RoomEvent> {
    let event = buildEvent(draft);

    const allowed = await this.#modules.thirdPartyRules.checkEventAllowed(event, before, {
      origin: 'client',
      roomVersion: ROOM_VERSION,
    });
    if (!allowed.allowed) throw new RefusedByModule(allowed);
    if (allowed.replacement) {
      const { sender, content, origin_server_ts, redacts = draft.redacts } = allowed.replacement.event;
      event = buildEvent({ ...draft, sender, content, origin_server_ts, redacts });
    }

    authorise(event, await authStateFor(event, before));

    if (event.type !== 'm.room.member') {
      const verdict = await this.#modules.spamChecker.checkEventForSpam(event, {
        origin: 'client',
        roomVersion: ROOM_VERSION,
      });
      if (!verdict.allowed) throw new RefusedByModule(verdict);
    }
    return event;
  }

  /** Wakes those who may see the events: of a shadow-banned user's, nobody but himself. */
  announce(events: readonly RoomEvent[], onlyFor: string | null): void {
    if (onlyFor !== null) {
      this.#notifier.usersChanged([onlyFor]);
      return;
    }
    for (const { room_id, type, state_key } of events) {
      this.#notifier.roomChanged(room_id, type === 'm.room.member' && state_key !== undefined ? [state_key] : []);
    }
  }
}

async function unchanged(event: RoomEvent, before: StateView): Promise<RoomEvent | undefined> {
  if (event.state_key === undefined) return undefined;
  const current = await before.get(event.type, event.state_key);
  const same = current?.sender === event.sender && isDeepStrictEqual(current.content, event.content);
  return same ? current : undefined;
}
