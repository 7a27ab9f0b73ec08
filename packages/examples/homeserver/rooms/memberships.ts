// Joining, leaving, inviting, kicking and banning, whichever door the request comes through: the endpoints,
// PUT of a m.room.member state event, createRoom, or a module.

import type { Logger, Modules } from '@bulkhead/runtime';
import { eq } from 'drizzle-orm';
import type { Accounts } from '../accounts/accounts.js';
import type { Database } from '../db/database.js';
import { forgotten } from '../db/schema.js';
import { forbidden, notFound, RefusedByModule, unknownRequest } from '../errors.js';
import type { Content, EventDraft } from './event.js';
import type { EventStore, Membership } from './events.js';
import { voucherFor } from './restricted-join.js';
import type { Author, Sender } from './sender.js';
import { membershipIn } from './state.js';

/** What is for other servers to say. */
export interface ElsewhereRooms {
  isRemote(userId: string): boolean;
  isElsewhere(roomId: string): Promise<boolean>;
  join(author: Author, draft: EventDraft, via: readonly string[]): Promise<string>;
  leave(author: Author, draft: EventDraft): Promise<string>;
  invite(author: Author, draft: EventDraft): Promise<string>;
}

export interface MembershipRequest {
  readonly roomId: string;
  readonly target: string;
  readonly membership: Membership;
  /** What else the event says: a reason, `is_direct`, a profile of the client's own. */
  readonly content?: Content;
  /** Servers that may be in the room. */
  readonly via?: readonly string[];
}

const WITH_PROFILE: ReadonlySet<Membership> = new Set(['join', 'invite', 'knock']);

export class Memberships {
  readonly #db: Database;
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  readonly #sender: Sender;
  readonly #modules: Modules;
  readonly #logger: Logger;
  /** Without federation there is nothing else. */
  elsewhere: ElsewhereRooms | undefined;

  constructor(db: Database, accounts: Accounts, events: EventStore, sender: Sender, modules: Modules, logger: Logger) {
    this.#logger = logger;
    this.#db = db;
    this.#accounts = accounts;
    this.#events = events;
    this.#sender = sender;
    this.#modules = modules;
  }

  /** @returns the id of the membership event */
  async change(author: Author, request: MembershipRequest): Promise<string> {
    if (request.membership === 'invite') await this.checkInvite(author, request.target, request.roomId);
    const draft = await this.draft(author, request);
    const { roomId, target, membership, via = [] } = request;
    const { elsewhere } = this;
    const movesHimself = target === author.userId && (membership === 'join' || membership === 'leave');
    if (elsewhere && movesHimself && (await elsewhere.isElsewhere(roomId))) {
      return membership === 'join' ? elsewhere.join(author, draft, via) : elsewhere.leave(author, draft);
    }
    // A shadow-banned user's invites do nothing.
    if (membership === 'invite' && !author.shadowBanned && elsewhere?.isRemote(target)) {
      return elsewhere.invite(author, draft);
    }
    const voucher = await voucherFor(this.#events, draft);
    if (voucher === undefined) return this.#sender.send(author, draft);
    const content = { ...draft.content, join_authorised_via_users_server: voucher };
    return this.#sender.send(author, { ...draft, content });
  }

  /** Before an invite is made: do the modules let this user invite that one, and is there such a one? */
  async checkInvite(author: Author, target: string, roomId: string): Promise<void> {
    if (!this.#accounts.isAdmin(author.userId)) {
      const verdict = await this.#modules.spamChecker.userMayInvite(author.userId, target, roomId);
      if (!verdict.allowed) throw new RefusedByModule(verdict);
    }
    if (this.elsewhere?.isRemote(target)) return;
    const account = await this.#accounts.find(target);
    if (!account || account.deactivated) throw notFound(`There is no user ${target}`);
  }

  /** The event that says so, with the profile of the user whom it is about. */
  async draft(author: Author, { roomId, target, membership, content }: MembershipRequest): Promise<EventDraft> {
    const profile = WITH_PROFILE.has(membership) ? await this.#accounts.profile(target) : undefined;
    // Nobody but the server names who lets a user in: it signs that the user is where he would have to be.
    const { join_authorised_via_users_server: _, ...rest } = content ?? {};
    return {
      type: 'm.room.member',
      room_id: roomId,
      sender: author.userId,
      state_key: target,
      content: { ...profile, ...rest, membership },
    };
  }

  async kick(author: Author, roomId: string, target: string, content: Content): Promise<void> {
    const before = await this.#current(author, roomId, target);
    if (before !== 'join' && before !== 'invite' && before !== 'knock') throw forbidden('The user is not in the room');
    await this.change(author, { roomId, target, membership: 'leave', content });
  }

  async unban(author: Author, roomId: string, target: string, content: Content): Promise<void> {
    if ((await this.#current(author, roomId, target)) !== 'ban') throw forbidden('The user is not banned');
    await this.change(author, { roomId, target, membership: 'leave', content });
  }

  async forget(userId: string, roomId: string): Promise<void> {
    const membership = await membershipIn(this.#events.state(roomId, userId), userId);
    if (membership === undefined) throw notFound('You never were in that room');
    if (membership !== 'leave' && membership !== 'ban') throw unknownRequest('You must leave the room first');
    await this.#db.insert(forgotten).values({ userId, roomId }).onConflictDoNothing();
  }

  async forgottenBy(userId: string): Promise<ReadonlySet<string>> {
    const found = await this.#db.select().from(forgotten).where(eq(forgotten.userId, userId));
    return new Set(found.map(({ roomId }) => roomId));
  }

  /** A user goes for good; a room that does not let him go keeps him. */
  async leaveAll(author: Author): Promise<void> {
    for (const { roomId, membership } of await this.#events.membershipsOf(author.userId)) {
      if (membership === 'leave' || membership === 'ban') continue;
      await this.change(author, { roomId, target: author.userId, membership: 'leave' }).catch((error: unknown) =>
        this.#logger.warn({ err: error, roomId, userId: author.userId }, 'A deactivated user could not leave'),
      );
    }
  }

  /** A new name or picture goes into every room the user is in; a room that refuses it keeps the old one. */
  async profileChanged(author: Author): Promise<void> {
    for (const { roomId, membership } of await this.#events.membershipsOf(author.userId)) {
      if (membership !== 'join') continue;
      await this.change(author, { roomId, target: author.userId, membership }).catch((error: unknown) =>
        this.#logger.warn({ err: error, roomId, userId: author.userId }, 'A room did not take the new profile'),
      );
    }
  }

  async #current(author: Author, roomId: string, target: string): Promise<string | undefined> {
    const state = this.#events.state(roomId, author.userId);
    const [own, theirs] = await Promise.all([membershipIn(state, author.userId), membershipIn(state, target)]);
    if (own !== 'join') throw forbidden('You are not in the room');
    return theirs;
  }
}
