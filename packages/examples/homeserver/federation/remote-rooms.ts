// What local users do with rooms on other servers: join them, leave them, and invite their users.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Modules } from '@bulkhead/runtime';
import { EventId, serverNameOf } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Signer } from '../crypto/signing.js';
import type { Database } from '../db/database.js';
import { rooms } from '../db/schema.js';
import { badGateway, badJson, forbidden, notFound, RefusedByModule, unsupportedRoomVersion } from '../errors.js';
import { check } from '../http/body.js';
import { isLocal } from '../ids.js';
import { selectAuthEvents } from '../rooms/authorisation/auth-events.js';
import { authorise } from '../rooms/authorisation/rules.js';
import { STRIPPED_STATE, strippedEvent } from '../rooms/client-event.js';
import { type EventDraft, membershipOf, ROOM_VERSION } from '../rooms/event.js';
import type { EventStore } from '../rooms/events.js';
import type { NewEvent } from '../rooms/insert.js';
import { MAX_PREV_EVENTS, makeEvent, type SignedEvent, toPdu } from '../rooms/pdu.js';
import { redactedPdu } from '../rooms/redaction.js';
import type { ResolvedKey } from '../rooms/resolution.js';
import { NOBODY } from '../rooms/rows.js';
import type { Author, Sender } from '../rooms/sender.js';
import { DraftState, membershipIn } from '../rooms/state.js';
import { changesAgainst } from './branch-state.js';
import { type FederationClient, toClient } from './client.js';
import { type ForeignState, MAX_STATE_BYTES, readForeignState } from './foreign-state.js';
import { Graph } from './graph.js';
import { readPdu, verifyPdu } from './incoming-pdu.js';
import type { KeyRing } from './keys.js';
import { asOutlier } from './receiver.js';
import type { RoomLocks } from './room-locks.js';
import type { RoomServers } from './room-servers.js';

const MAX_SERVERS_ASKED = 5;
const MAX_INVITE_ATTEMPTS = 5;
const JOIN_TIMEOUT_MS = 60_000;

export class RemoteRooms {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #modules: Modules;
  readonly #sender: Sender;
  readonly #signer: Signer;
  readonly #client: FederationClient;
  readonly #keys: KeyRing;
  readonly #servers: RoomServers;
  readonly #locks: RoomLocks;

  constructor(parts: {
    readonly db: Database;
    readonly events: EventStore;
    readonly modules: Modules;
    readonly sender: Sender;
    readonly signer: Signer;
    readonly client: FederationClient;
    readonly keys: KeyRing;
    readonly servers: RoomServers;
    readonly locks: RoomLocks;
  }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#modules = parts.modules;
    this.#sender = parts.sender;
    this.#signer = parts.signer;
    this.#client = parts.client;
    this.#keys = parts.keys;
    this.#servers = parts.servers;
    this.#locks = parts.locks;
  }

  /** A user of a server that this one can ask. */
  isRemote(userId: string): boolean {
    return this.#client.knows(serverNameOf(userId) ?? '');
  }

  /** Whether the room goes on without this server: it is for others to say who joins or leaves. */
  async isElsewhere(roomId: string): Promise<boolean> {
    const servers = await this.#servers.of(roomId);
    if (servers.has(this.#signer.serverName)) return false;
    return servers.size > 0 || !isLocal(roomId, this.#signer.serverName);
  }

  /** @param via servers that may be in the room @returns the id of the join */
  async join(author: Author, draft: EventDraft, via: readonly string[]): Promise<string> {
    // What they do is for themselves to see, and there is no such room here.
    if (author.shadowBanned) throw forbidden('You cannot join this room');
    const { room_id: roomId } = draft;
    const wish = await this.#approved(draft);
    let failure: unknown = notFound('Room not found');
    for (const server of await this.#candidates(roomId, author.userId, via)) {
      try {
        return await this.#locks.run(roomId, () => this.#joinVia(server, wish));
      } catch (error) {
        failure = toClient(error, server);
      }
    }
    throw failure;
  }

  /** Turns an invite down. If no other server takes note of it, the user is rid of it all the same. */
  async leave(author: Author, draft: EventDraft): Promise<string> {
    const { room_id: roomId, sender: userId } = draft;
    const before = await membershipIn(this.#events.state(roomId, userId), userId);
    if (before !== 'invite' && before !== 'join' && before !== 'knock') throw forbidden('You are not in the room');
    const wish = await this.#approved(draft);
    let signed: SignedEvent | undefined;
    for (const server of author.shadowBanned ? [] : await this.#candidates(roomId, userId, [])) {
      signed ??= await this.#leaveVia(server, wish).catch(() => undefined);
    }
    const stored = {
      ...(signed ?? makeEvent(wish, { authEvents: [], after: [] }, this.#signer)),
      onlyFor: author.shadowBanned ? userId : null,
      branch: { before: 'unknown', isBehind: true },
    } as const;
    await this.#events.append(async () => [stored]);
    this.#sender.announce([stored], stored.onlyFor);
    return stored.event.event_id;
  }

  /** The other server signs the invite as well, before it is part of the room. */
  async invite(author: Author, draft: EventDraft): Promise<string> {
    const { room_id: roomId, state_key: invitee = '' } = draft;
    const server = serverNameOf(invitee) ?? '';
    for (let attempt = 0; attempt < MAX_INVITE_ATTEMPTS; attempt++) {
      const asked = this.#events.head;
      const state = this.#events.state(roomId, author.userId);
      if (!(await state.get('m.room.create', ''))) throw forbidden('You are not in the room');
      const prepared = await this.#sender.prepare(draft, state, await this.#events.extremities(roomId, author.userId));
      const signed = await this.#countersigned(server, prepared).catch((error: unknown) => {
        throw toClient(error, server);
      });
      const [stored] = await this.#events.append(async (tx) => {
        // Another place in the room would be another event, and without the signature.
        const now = await this.#sender.asOfNow(signed, author, asked, tx);
        return now === signed ? [{ ...signed, onlyFor: null, deviceId: author.deviceId }] : [];
      });
      if (stored) {
        this.#sender.announce([stored], null);
        return stored.event.event_id;
      }
      await sleep(Math.random() * 50 * 2 ** attempt);
    }
    throw badGateway('The room changes faster than the other server answers');
  }

  /** The event is made here, so modules are asked here. What the room's state is they cannot be told before it is joined. */
  async #approved(draft: EventDraft): Promise<EventDraft> {
    const { event } = makeEvent(draft, { authEvents: [], after: [] }, this.#signer);
    const options = { origin: 'client', roomVersion: ROOM_VERSION } as const;
    const verdict = await this.#modules.thirdPartyRules.checkEventAllowed(event, new DraftState(), options);
    if (!verdict.allowed) throw new RefusedByModule(verdict);
    return verdict.replacement ? { ...draft, content: verdict.replacement.event.content } : draft;
  }

  async #candidates(roomId: string, userId: string, via: readonly string[]): Promise<readonly string[]> {
    const own = await this.#events.state(roomId, userId).get('m.room.member', userId);
    const inviter = own && membershipOf(own) === 'invite' ? [serverNameOf(own.sender) ?? ''] : [];
    const all = new Set([...inviter, ...via, serverNameOf(roomId) ?? '', ...(await this.#servers.of(roomId))]);
    return [...all].filter((server) => this.#client.knows(server)).slice(0, MAX_SERVERS_ASKED);
  }

  async #joinVia(server: string, draft: EventDraft): Promise<string> {
    const { room_id: roomId } = draft;
    const template = await this.#template(server, 'make_join', draft);
    const vouched = template.content.join_authorised_via_users_server;
    const content = {
      ...draft.content,
      ...(vouched === undefined ? {} : { join_authorised_via_users_server: vouched }),
    };
    const signed = this.#placed({ ...draft, content }, template);
    const { event_id: eventId } = signed.event;
    const answer = await this.#client.request(server, {
      method: 'PUT',
      path: ['v2', 'send_join', roomId, eventId],
      body: toPdu(signed),
      timeoutMs: JOIN_TIMEOUT_MS,
      maxBytes: MAX_STATE_BYTES,
    });
    const join = vouched === undefined ? signed : await this.#checked(answer.event, eventId);
    const told = await readForeignState(answer, roomId, new Graph(this.#db), this.#keys);
    const state = new DraftState(told.state.map(({ event }) => event));
    // The other server has let the user in; whether it was right to do so is for this one to see.
    authorise(join, await selectAuthEvents(join.event, state));
    await this.#enter(join, told);
    return eventId;
  }

  /** The room as the other server tells it, in place of whatever was known of it. */
  async #enter(join: SignedEvent, { state, fresh }: ForeignState): Promise<void> {
    const { room_id: roomId } = join.event;
    const inState = new Set(state.map(({ event }) => event.event_id));
    const stored = await this.#events.append(async (tx) => {
      const create = state.find(({ event }) => event.type === 'm.room.create')?.event;
      const values = { roomId, creator: create?.sender ?? '', version: ROOM_VERSION };
      await tx
        .insert(rooms)
        .values({ ...values, published: false, createdTs: Date.now() })
        .onConflictDoUpdate({ target: rooms.roomId, set: values });
      const before = await changesAgainst(
        tx,
        roomId,
        this.#events.head,
        state.map(({ event }) => event),
      );
      const isFresh = new Set(fresh.map(({ event }) => event.event_id));
      // What comes with the join takes its place by itself; the rest of the state is what was known already.
      const rest: ResolvedKey[] = before.changes
        .filter(([, , eventId]) => eventId === null || !isFresh.has(eventId))
        .map(([type, stateKey, eventId]) => ({ type, stateKey, eventId: eventId ?? undefined }));
      const own = { type: 'm.room.member', stateKey: join.event.state_key ?? '', eventId: join.event.event_id };
      const previous = await new Graph(tx).getAll(join.envelope.prev_events);
      const branch = {
        before: rest.length === 0 ? undefined : before,
        resolved: [...rest.filter(({ type, stateKey }) => type !== own.type || stateKey !== own.stateKey), own],
        follows: (await this.#events.extremities(roomId, NOBODY, tx)).map(({ eventId }) => eventId),
        missing: join.envelope.prev_events.filter((eventId) => !previous.has(eventId)),
      };
      return [
        ...fresh.map((signed) => (inState.has(signed.event.event_id) ? asHistory(signed) : asOutlier(signed))),
        { ...join, onlyFor: null, branch },
      ];
    });
    this.#sender.announce(stored.slice(-1), null);
  }

  async #leaveVia(server: string, draft: EventDraft): Promise<SignedEvent> {
    const signed = this.#placed(draft, await this.#template(server, 'make_leave', draft));
    await this.#client.request(server, {
      method: 'PUT',
      path: ['v2', 'send_leave', draft.room_id, signed.event.event_id],
      body: toPdu(signed),
    });
    return signed;
  }

  async #template(server: string, name: 'make_join' | 'make_leave', { room_id: roomId, sender }: EventDraft) {
    const answer = await this.#client.request(server, {
      path: ['v1', name, roomId, sender],
      ...(name === 'make_join' ? { query: { ver: ROOM_VERSION } } : {}),
    });
    const { room_version: version, event } = check(Template, answer);
    if (version !== ROOM_VERSION) throw unsupportedRoomVersion(version);
    return event;
  }

  /** What the user wants, where the template says. Of the rest of the template nothing is signed. */
  #placed(draft: EventDraft, { auth_events: authIds, prev_events: previous, depth }: Template): SignedEvent {
    const authEvents = authIds.map((event_id) => ({ event_id }));
    const after = previous.map((eventId) => ({ eventId, depth: depth - 1 }));
    return makeEvent(draft, { authEvents, after }, this.#signer);
  }

  async #countersigned(server: string, prepared: SignedEvent): Promise<SignedEvent> {
    const { room_id: roomId, event_id: eventId, sender } = prepared.event;
    const state = this.#events.state(roomId, sender);
    const keys = [...STRIPPED_STATE.map((type) => [type, ''] as const), ['m.room.member', sender] as const];
    const answer = await this.#client.request(server, {
      method: 'PUT',
      path: ['v2', 'invite', roomId, eventId],
      body: {
        room_version: ROOM_VERSION,
        event: toPdu(prepared),
        invite_room_state: (await state.getAll(keys)).map(strippedEvent),
      },
    });
    const back = await this.#checked(answer.event, eventId);
    if (!(await this.#keys.isSigned(redactedPdu(toPdu(back)), server, Date.now()))) {
      throw badJson(`${server} has not signed the invite`);
    }
    const theirs = back.envelope.signatures[server] ?? {};
    const signatures = { ...prepared.envelope.signatures, [server]: theirs };
    return { ...prepared, envelope: { ...prepared.envelope, signatures } };
  }

  /** An event of this server's that comes back from another one, which has signed it. */
  async #checked(raw: unknown, eventId: string): Promise<SignedEvent> {
    const unverified = readPdu(raw);
    if (unverified.eventId !== eventId) throw badJson('Another event came back');
    return verifyPdu(unverified, this.#keys);
  }
}

const Template = v.object({
  room_version: v.string(),
  event: v.object({
    content: v.looseObject({ join_authorised_via_users_server: v.optional(v.string()) }),
    auth_events: v.pipe(v.array(EventId), v.maxLength(10)),
    prev_events: v.pipe(v.array(EventId), v.minLength(1), v.maxLength(MAX_PREV_EVENTS)),
    depth: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
});
type Template = v.InferOutput<typeof Template>['event'];

/** State that the room had when it was joined: the beginning of its history here. */
const asHistory = (signed: SignedEvent): NewEvent => ({
  ...signed,
  onlyFor: null,
  branch: { before: 'unknown', isBehind: true },
});
