// What this server does for others whose users join or leave its rooms, and for those who invite its users.

import type { Modules } from '@bulkhead/runtime';
import { serverNameOf } from '@bulkhead/sdk/contract';
import type { Accounts } from '../accounts/accounts.js';
import { type Signer, signJson } from '../crypto/signing.js';
import type { Database } from '../db/database.js';
import { rooms } from '../db/schema.js';
import {
  badJson,
  forbidden,
  incompatibleRoomVersion,
  invalidParam,
  notFound,
  RefusedByModule,
  tooLarge,
} from '../errors.js';
import { isLocal, isUserId } from '../ids.js';
import { selectAuthEvents } from '../rooms/authorisation/auth-events.js';
import { authorise } from '../rooms/authorisation/rules.js';
import type { StrippedEvent } from '../rooms/client-event.js';
import { type Content, checkCanonical, type EventDraft, membershipOf, ROOM_VERSION } from '../rooms/event.js';
import type { EventStore } from '../rooms/events.js';
import { makeEvent, type Pdu, toPdu } from '../rooms/pdu.js';
import { redactedPdu } from '../rooms/redaction.js';
import type { BranchedState } from '../rooms/resolution.js';
import { voucherFor } from '../rooms/restricted-join.js';
import { NOBODY } from '../rooms/rows.js';
import type { Sender } from '../rooms/sender.js';
import { Graph, type Node } from './graph.js';
import { isWhole, readPdu, verifyPdu } from './incoming-pdu.js';
import type { KeyRing } from './keys.js';
import { allIn } from './merge.js';
import type { Receiver } from './receiver.js';
import type { RoomServers } from './room-servers.js';

/** Characters of JSON. */
const MAX_INVITE_STATE = 65_536;

type Change = 'join' | 'leave';

export interface StateOfRoom {
  readonly state: readonly Node[];
  readonly authChain: readonly Node[];
}

export class Resident {
  readonly #db: Database;
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  readonly #modules: Modules;
  readonly #sender: Sender;
  readonly #signer: Signer;
  readonly #keys: KeyRing;
  readonly #servers: RoomServers;
  readonly #receiver: Receiver;

  constructor(parts: {
    readonly db: Database;
    readonly accounts: Accounts;
    readonly events: EventStore;
    readonly modules: Modules;
    readonly sender: Sender;
    readonly signer: Signer;
    readonly keys: KeyRing;
    readonly servers: RoomServers;
    readonly receiver: Receiver;
  }) {
    this.#db = parts.db;
    this.#accounts = parts.accounts;
    this.#events = parts.events;
    this.#modules = parts.modules;
    this.#sender = parts.sender;
    this.#signer = parts.signer;
    this.#keys = parts.keys;
    this.#servers = parts.servers;
    this.#receiver = parts.receiver;
  }

  /** An event for the other server to sign, if the rules would let it in. */
  async template(origin: string, roomId: string, userId: string, membership: Change): Promise<object> {
    if (!isUserId(userId) || serverNameOf(userId) !== origin) throw forbidden(`${userId} is no user of ${origin}`);
    await this.checkResidence(roomId);
    const state = this.#events.state(roomId, NOBODY);
    const plain: EventDraft = {
      type: 'm.room.member',
      room_id: roomId,
      sender: userId,
      state_key: userId,
      content: { membership },
    };
    const voucher = await voucherFor(this.#events, plain, this.#signer.serverName);
    const vouched = voucher === undefined ? {} : { join_authorised_via_users_server: voucher };
    const draft = { ...plain, content: { ...plain.content, ...vouched } };
    const authEvents = await selectAuthEvents(draft, state);
    const signed = makeEvent(
      draft,
      { authEvents, after: await this.#events.extremities(roomId, NOBODY) },
      this.#signer,
    );
    authorise(signed, authEvents);
    const { hashes: _, signatures: __, ...template } = toPdu(signed);
    return template;
  }

  /** The signed event takes its way. @returns it, signed by this server too if that vouches for the user */
  async accept(origin: string, roomId: string, eventId: string, raw: unknown, membership: Change): Promise<Pdu> {
    const { pdu, eventId: actual } = readPdu(raw);
    if (actual !== eventId) throw invalidParam(`The event's id is ${actual}`);
    if (pdu.room_id !== roomId) throw invalidParam('The event is of another room');
    if (membershipOf(pdu) !== membership || pdu.state_key !== pdu.sender) {
      throw invalidParam(`This is no ${membership} of its sender`);
    }
    if (serverNameOf(pdu.sender) !== origin) throw forbidden(`${pdu.sender} is no user of ${origin}`);
    if (!isWhole(pdu)) throw badJson('The content does not match its hash');
    await this.checkResidence(roomId);
    const whole = this.#vouches(pdu) ? this.#countersigned(pdu) : pdu;
    const receipt = await this.#receiver.receive(origin, whole, { fetch: false, keep: false, relay: true });
    if ('reason' in receipt) throw receipt.reason;
    return whole;
  }

  /** The state before an event of the room, and all that allows it. */
  async stateBefore(roomId: string, eventId: string): Promise<StateOfRoom> {
    const graph = new Graph(this.#db);
    const node = await graph.get(eventId);
    if (node?.event.room_id !== roomId || node.onlyFor !== null || node.before === 'unknown') {
      throw notFound('The state before that event is not known here');
    }
    const state: BranchedState = node.before ?? { base: node.position - 1, changes: [] };
    const nodes = await graph.getAll(await allIn(this.#db, roomId, state));
    const authChain = await graph.authChain([...nodes.keys()]);
    return { state: [...nodes.values()], authChain: [...authChain.values()] };
  }

  /** @returns the invite, signed by this server too */
  async invite(
    origin: string,
    roomId: string,
    eventId: string,
    { version, raw, inviteState }: { version: string; raw: unknown; inviteState: readonly StrippedEvent[] },
  ): Promise<Pdu> {
    if (version !== ROOM_VERSION) throw incompatibleRoomVersion(version);
    checkCanonical(inviteState, 0);
    if (JSON.stringify(inviteState).length > MAX_INVITE_STATE) throw tooLarge('The state with the invite is too large');
    const { serverName } = this.#signer;
    const unverified = readPdu(raw);
    const { pdu } = unverified;
    const { sender, state_key: invitee = '' } = pdu;
    if (unverified.eventId !== eventId) throw invalidParam(`The event's id is ${unverified.eventId}`);
    if (pdu.room_id !== roomId) throw invalidParam('The event is of another room');
    if (membershipOf(pdu) !== 'invite') throw invalidParam('This is no invite');
    if (serverNameOf(sender) !== origin) throw forbidden(`${sender} is no user of ${origin}`);
    if (!isWhole(pdu)) throw badJson('The content does not match its hash');
    const signed = await verifyPdu(unverified, this.#keys);
    const account = isLocal(invitee, serverName) ? await this.#accounts.find(invitee) : undefined;
    if (!account || account.deactivated) throw forbidden(`There is no user ${invitee}`);
    const options = { origin: 'federation', roomVersion: ROOM_VERSION } as const;
    const allowed = await this.#modules.spamChecker.userMayInvite(sender, invitee, roomId, options);
    if (!allowed.allowed) throw new RefusedByModule(allowed);
    const harmless = await this.#modules.spamChecker.checkEventForSpam(signed.event, options);
    if (!harmless.allowed) throw new RefusedByModule(harmless);

    const countersigned = this.#countersigned(pdu);
    // A server that is in the room gets the invite as it gets every other event.
    if ((await this.#servers.of(roomId)).has(serverName)) return countersigned;
    const { signatures } = countersigned;
    const envelope = { ...signed.envelope, signatures };
    const branch = { before: 'unknown', isBehind: true, inviteState } as const;
    const [stored] = await this.#events.append(async (tx) => {
      if (await new Graph(tx).get(eventId)) return [];
      const values = { roomId, creator: sender, version, published: false, createdTs: Date.now() };
      await tx.insert(rooms).values(values).onConflictDoNothing();
      return [{ ...signed, envelope, onlyFor: null, branch }];
    });
    if (stored) this.#sender.announce([stored], null);
    return countersigned;
  }

  /** @throws MatrixError 404 unless this server is in the room */
  async checkResidence(roomId: string): Promise<void> {
    if (!(await this.#servers.of(roomId)).has(this.#signer.serverName))
      throw notFound('This server is not in the room');
  }

  /** What is said in a room is for the servers that are in it. */
  async checkPresence(origin: string, roomId: string): Promise<void> {
    await this.checkResidence(roomId);
    if (!(await this.#servers.of(roomId)).has(origin)) throw forbidden(`${origin} is not in the room`);
  }

  #vouches({ content }: { readonly content: Content }): boolean {
    const { join_authorised_via_users_server: authoriser } = content;
    return typeof authoriser === 'string' && isLocal(authoriser, this.#signer.serverName);
  }

  #countersigned(pdu: Pdu): Pdu {
    return { ...pdu, signatures: signJson(redactedPdu(pdu), this.#signer).signatures };
  }
}
