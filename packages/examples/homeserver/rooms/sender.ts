// The way of an event that is made on this server: built, shown to the modules, authorised, stored, told to those who wait.
//
//   checkEventAllowed -> (replacement: rebuilt) -> authorisation -> checkEventForSpam -> rebuilt and authorised again if it
//   does not fit to what was stored meanwhile -> stored
//
// Nothing is locked while modules are asked. They may take their time, and may send events of their own meanwhile.

import { isDeepStrictEqual } from 'node:util';
import type { Modules } from '@bulkhead/runtime';
import type { Signer } from '../crypto/signing.js';
import type { Database } from '../db/database.js';
import { forbidden, notFound, RefusedByModule } from '../errors.js';
import type { Notifier } from '../sync/notifier.js';
import { authKeys, selectAuthEvents } from './authorisation/auth-events.js';
import { authorise } from './authorisation/rules.js';
import { type EventDraft, ROOM_VERSION, type RoomEvent } from './event.js';
import type { EventStore } from './events.js';
import { type Extremity, MAX_PREV_EVENTS, makeEvent, type SignedEvent } from './pdu.js';
import { PowerLevels } from './power-levels.js';
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
  readonly #signer: Signer;

  constructor(events: EventStore, modules: Modules, notifier: Notifier, signer: Signer) {
    this.#events = events;
    this.#modules = modules;
    this.#notifier = notifier;
    this.#signer = signer;
  }

  /** @returns the event's id; for state that is so already, the id of the event that says so */
  async send(author: Author, draft: EventDraft, transactionId?: string): Promise<string> {
    const { room_id: roomId } = draft;
    const asked = this.#events.head;
    const before = this.#events.state(roomId, author.userId);
    // All that the authorisation will look at, in one query.
    await before.getAll(authKeys(draft));
    if (!(await before.get('m.room.create', ''))) throw forbidden('You are not in the room');
    const prepared = await this.prepare(draft, before, await this.#events.extremities(roomId, author.userId));
    const same = await unchanged(prepared.event, before);
    if (same) return same.event_id;

    const onlyFor = author.shadowBanned ? author.userId : null;
    const { deviceId } = author;
    const [stored = prepared] = await this.#events.append(async (tx) => {
      const signed = await this.asOfNow(prepared, author, asked, tx);
      return [{ ...signed, onlyFor, deviceId, transactionId }];
    });
    this.announce([stored], onlyFor);
    return stored.event.event_id;
  }

  /**
   * Takes a draft through everything that comes before it is stored.
   * @param after what it comes after
   */
  async prepare(draft: EventDraft, before: StateView, after: readonly Extremity[]): Promise<SignedEvent> {
    let signed = await this.#build(draft, before, after);

    const allowed = await this.#modules.thirdPartyRules.checkEventAllowed(signed.event, before, {
      origin: 'client',
      roomVersion: ROOM_VERSION,
    });
    if (!allowed.allowed) throw new RefusedByModule(allowed);
    if (allowed.replacement) {
      const { sender, content, origin_server_ts } = allowed.replacement.event;
      signed = await this.#build({ ...draft, sender, content, origin_server_ts }, before, after);
    }

    await this.#authorise(signed, before);

    if (signed.event.type !== 'm.room.member') {
      const verdict = await this.#modules.spamChecker.checkEventForSpam(signed.event, {
        origin: 'client',
        roomVersion: ROOM_VERSION,
      });
      if (!verdict.allowed) throw new RefusedByModule(verdict);
    }
    return signed;
  }

  /**
   * The event as it is to be stored, although others may have been since modules were `asked` (a position). It may stand
   * beside some; otherwise it is rebuilt, and its id is another one than the modules saw.
   * @throws MatrixError when it is not allowed any more
   */
  async asOfNow(prepared: SignedEvent, { userId }: Author, asked: number, tx: Database): Promise<SignedEvent> {
    const { room_id: roomId } = prepared.event;
    const after = await this.#events.extremities(roomId, userId, tx);
    if (!this.#events.stateChangedSince(roomId, asked) && mayStandBeside(prepared, after)) return prepared;
    const now = this.#events.stateAt(roomId, userId, this.#events.head, tx);
    const signed = await this.#build(prepared.event, now, after);
    await this.#authorise(signed, now, tx);
    return signed;
  }

  /** Wakes those who may see the events: of a shadow-banned user's, nobody but himself. */
  announce(events: readonly SignedEvent[], onlyFor: string | null): void {
    if (onlyFor !== null) {
      this.#notifier.usersChanged([onlyFor]);
      return;
    }
    for (const { event } of events) {
      const { room_id, type, state_key } = event;
      this.#notifier.roomChanged(room_id, type === 'm.room.member' && state_key !== undefined ? [state_key] : []);
    }
  }

  async #build(draft: EventDraft, before: StateView, after: readonly Extremity[]): Promise<SignedEvent> {
    return makeEvent(draft, { authEvents: await selectAuthEvents(draft, before), after }, this.#signer);
  }

  async #authorise({ event, envelope }: SignedEvent, before: StateView, tx?: Database): Promise<void> {
    authorise({ event, envelope }, await selectAuthEvents(event, before));
    if (event.redacts === undefined) return;
    const target = await this.#events.get(event.redacts, event.sender, tx);
    await checkRedaction(event, target?.event, before);
  }
}

/**
 * Events that were made at the same time leave other servers with as many states of the room, to make one of. They are all
 * the same as long as a state event stands alone; where they differ, the old state might be chosen. And there shall be no
 * more of them than the next event can name.
 */
function mayStandBeside({ event, envelope }: SignedEvent, extremities: readonly Extremity[]): boolean {
  const beside = extremities.filter(({ eventId }) => !envelope.prev_events.includes(eventId)).length;
  return event.state_key === undefined ? beside < MAX_PREV_EVENTS : beside === 0;
}

/** Client-server API, "Redactions": of one's own events, or with the power to redact. The rules leave it to the servers. */
export async function checkRedaction(
  redaction: RoomEvent,
  target: RoomEvent | undefined,
  before: StateView,
): Promise<void> {
  const { room_id, sender } = redaction;
  if (target?.room_id !== room_id) throw notFound('Event not found');
  // Without a m.room.server_acl's content no server would be let in, and m.room.create makes the room what it is.
  const { type } = target;
  if (type === 'm.room.create' || type === 'm.room.server_acl') throw forbidden(`${type} cannot be redacted`);
  if (target.sender === sender) return;
  const create = await before.get('m.room.create', '');
  const levels = new PowerLevels(await before.get('m.room.power_levels', ''), create?.sender);
  if (levels.user(sender) < levels.action('redact')) {
    throw forbidden('Your power level does not suffice to redact events of others');
  }
}

async function unchanged(event: RoomEvent, before: StateView): Promise<RoomEvent | undefined> {
  if (event.state_key === undefined) return undefined;
  const current = await before.get(event.type, event.state_key);
  const same = current?.sender === event.sender && isDeepStrictEqual(current.content, event.content);
  return same ? current : undefined;
}
