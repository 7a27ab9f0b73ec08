// Fills a room with members and messages, past the endpoints: each event is made, authorised and turned into a row by the
// homeserver's own code; only the rows are written many at a time.

import { hashPassword } from '../../../packages/examples/homeserver/accounts/passwords.ts';
import type { Signer } from '../../../packages/examples/homeserver/crypto/signing.ts';
import type { Database } from '../../../packages/examples/homeserver/db/database.ts';
import { events, users } from '../../../packages/examples/homeserver/db/schema.ts';
import { selectAuthEvents } from '../../../packages/examples/homeserver/rooms/authorisation/auth-events.ts';
import { authorise } from '../../../packages/examples/homeserver/rooms/authorisation/rules.ts';
import type { EventDraft, RoomEvent } from '../../../packages/examples/homeserver/rooms/event.ts';
import { EventStore } from '../../../packages/examples/homeserver/rooms/events.ts';
import { type NewEvent, rowOf } from '../../../packages/examples/homeserver/rooms/insert.ts';
import { type Extremity, makeEvent, type SignedEvent } from '../../../packages/examples/homeserver/rooms/pdu.ts';
import { NOBODY } from '../../../packages/examples/homeserver/rooms/rows.ts';
import { DraftState } from '../../../packages/examples/homeserver/rooms/state.ts';

export interface Size {
  readonly members: number;
  /** All of them; those with which members join are among them. */
  readonly events: number;
}

const BATCH = 500;

/** @param roomId a room that anybody may join. No homeserver has the database open. */
export async function fillRoom(db: Database, signer: Signer, roomId: string, size: Size): Promise<void> {
  const passwordHash = await hashPassword('nobody logs in as one of them');
  const store = new EventStore(db);
  await store.open();
  const follows = (await store.extremities(roomId, NOBODY)).map(({ eventId }) => eventId);
  const maker = await EventMaker.at(store, signer, roomId);
  const every = Math.floor(size.events / size.members);
  const members: string[] = [];
  for (let made = 0; made < size.events - 1; ) {
    const accounts: (typeof users.$inferInsert)[] = [];
    const fresh: NewEvent[] = [];
    for (; fresh.length < BATCH && made < size.events - 1; made++) {
      if (made % every === 0 && members.length < size.members) {
        const userId = `@${roomId.slice(1, 5)}.${members.length}:${signer.serverName}`.toLowerCase();
        members.push(userId);
        accounts.push({ userId, passwordHash, shadowBanned: false, createdTs: Date.now() });
        fresh.push(await maker.join(userId));
      } else {
        fresh.push(await maker.say(members[(made * 7919) % members.length] as string, `message ${made} of many`));
      }
    }
    await db.transaction(async (tx) => {
      if (accounts.length > 0) await tx.insert(users).values(accounts);
      await tx.insert(events).values(fresh.map((each) => rowOf(each)));
    });
  }
  // The last one goes the usual way, and takes the place of what the room ended with.
  const last = await maker.say(members[0] as string, 'the last message');
  await store.append(async () => [{ ...last, branch: { follows } }]);
}

/** Makes one event after the other. */
class EventMaker {
  readonly #signer: Signer;
  readonly #roomId: string;
  readonly #room: readonly RoomEvent[];
  readonly #members = new Map<string, RoomEvent>();
  #after: readonly Extremity[];
  #messages = 0;

  private constructor(signer: Signer, roomId: string, room: readonly RoomEvent[], after: readonly Extremity[]) {
    this.#signer = signer;
    this.#roomId = roomId;
    this.#room = room;
    this.#after = after;
  }

  static async at(store: EventStore, signer: Signer, roomId: string): Promise<EventMaker> {
    const types = ['m.room.create', 'm.room.power_levels', 'm.room.join_rules'];
    const room = await store.state(roomId, NOBODY).getAll(types.map((type) => [type, ''] as const));
    return new EventMaker(signer, roomId, room, await store.extremities(roomId, NOBODY));
  }

  async join(userId: string): Promise<NewEvent> {
    const content = { membership: 'join', displayname: `Member ${this.#members.size}` };
    const signed = await this.#make({ type: 'm.room.member', sender: userId, state_key: userId, content });
    this.#members.set(userId, signed.event);
    return { ...signed, onlyFor: null };
  }

  async say(userId: string, body: string): Promise<NewEvent> {
    const content = { msgtype: 'm.text', body };
    const signed = await this.#make({ type: 'm.room.message', sender: userId, content });
    return { ...signed, onlyFor: null, deviceId: 'FILLED', transactionId: String(this.#messages++) };
  }

  async #make(given: Omit<EventDraft, 'room_id'>): Promise<SignedEvent> {
    const draft = { ...given, room_id: this.#roomId };
    const own = this.#members.get(given.sender);
    const before = new DraftState(own ? [...this.#room, own] : this.#room);
    const authEvents = await selectAuthEvents(draft, before);
    const signed = makeEvent(draft, { authEvents, after: this.#after }, this.#signer);
    authorise(signed, authEvents);
    this.#after = [{ eventId: signed.event.event_id, depth: signed.envelope.depth }];
    return signed;
  }
}
