// What modules may ask of this homeserver. The runtime has checked arguments and permissions before anything arrives here.
//
// Modules and rooms need each other: the rooms ask the modules, and modules send into rooms. So this is made first, with
// what needs no module; the rest is connected when the modules stand.

import type {
  Homeserver,
  MembershipChange,
  NewEvent,
  Requester,
  RequesterOptions,
  StateFilter,
} from '@bulkhead/sdk/contract';
import type { Accounts } from './accounts/accounts.js';
import { forbidden, invalidParam, notFound, starting } from './errors.js';
import type { Authenticator } from './http/authenticate.js';
import { isUserId } from './ids.js';
import { membershipOf, type RoomEvent } from './rooms/event.js';
import type { EventStore } from './rooms/events.js';
import type { Memberships } from './rooms/memberships.js';
import { NOBODY } from './rooms/rows.js';
import type { Author, Sender } from './rooms/sender.js';

/** What exists only when the modules do. */
export interface Connected {
  readonly authenticator: Authenticator;
  readonly memberships: Memberships;
  readonly sender: Sender;
}

export class HomeserverAdapter implements Required<Homeserver> {
  readonly serverName: string;
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  #connected: Connected | undefined;

  constructor(serverName: string, accounts: Accounts, events: EventStore) {
    this.serverName = serverName;
    this.#accounts = accounts;
    this.#events = events;
  }

  connect(connected: Connected): void {
    this.#connected = connected;
  }

  async getProfile(userId: string) {
    return (await this.#accounts.profile(userId)) ?? null;
  }

  async getUserInfo(userId: string) {
    const account = await this.#accounts.find(userId);
    if (!account) return null;
    return {
      userId,
      isAdmin: this.#accounts.isAdmin(userId),
      isGuest: false,
      isDeactivated: account.deactivated,
      isShadowBanned: account.shadowBanned,
      creationTs: account.createdTs,
    };
  }

  async checkUserExists(userId: string) {
    return (await this.#accounts.find(userId))?.userId ?? null;
  }

  /** As any client's event: it goes through all callbacks. */
  async createAndSendEvent({ type, room_id, sender, content, state_key }: NewEvent) {
    const author = await this.#author(sender);
    if (type === 'm.room.member') {
      const membership = membershipOf({ type, content });
      if (!isMembership(membership) || state_key === undefined || !isUserId(state_key)) {
        throw invalidParam('A m.room.member event needs a membership, and a user id as state key');
      }
      return this.#changeMembership(author, { sender, target: state_key, roomId: room_id, membership, content });
    }
    const event_id = await this.#ready.sender.send(author, { type, room_id, sender, content, state_key });
    return { event_id };
  }

  /** As everybody sees it: what a shadow-banned user makes is no part of it. */
  async getRoomState(roomId: string, filter: StateFilter | null): Promise<RoomEvent[]> {
    const state = this.#events.state(roomId, NOBODY);
    if (!(await state.get('m.room.create', ''))) throw notFound('Room not found');
    const found = new Map<string, RoomEvent>();
    if (filter === null) for await (const event of state.entries()) found.set(event.event_id, event);
    for (const [type, stateKey] of filter ?? []) {
      const events = stateKey === null ? await state.list(type) : [await state.get(type, stateKey)];
      for (const event of events) if (event) found.set(event.event_id, event);
    }
    return [...found.values()];
  }

  async updateRoomMembership(change: MembershipChange) {
    return this.#changeMembership(await this.#author(change.sender), change);
  }

  getUserByRequest(request: Request, options: RequesterOptions): Promise<Requester> {
    return this.#ready.authenticator.requester(request, options);
  }

  async #changeMembership(author: Author, { target, roomId, membership, content }: MembershipChange) {
    const event_id = await this.#ready.memberships.change(author, {
      roomId,
      target,
      membership,
      ...(content === undefined ? {} : { content }),
    });
    return { event_id };
  }

  async #author(userId: string): Promise<Author> {
    const account = await this.#accounts.find(userId);
    if (!account) throw forbidden(`${userId} is no user of this server`);
    return { userId, shadowBanned: account.shadowBanned };
  }

  get #ready(): Connected {
    if (!this.#connected) throw starting();
    return this.#connected;
  }
}

const isMembership = (value: string | undefined): value is MembershipChange['membership'] =>
  value !== undefined && ['join', 'leave', 'invite', 'ban', 'knock'].includes(value);
