// createRoom. Everybody who may refuse is asked before the first row is written: a room exists whole or not at all.

import type { Logger, Modules } from '@bulkhead/runtime';
import { type Requester, RoomAlias, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Accounts } from '../accounts/accounts.js';
import type { HomeserverConfig } from '../config.js';
import type { Database } from '../db/database.js';
import { rooms } from '../db/schema.js';
import { forbidden, invalidParam, RefusedByModule, unsupportedRoomVersion } from '../errors.js';
import { check, JsonObject } from '../http/body.js';
import { newRoomId } from '../ids.js';
import type { Directory } from './directory.js';
import { type Content, type EventDraft, ROOM_VERSION } from './event.js';
import type { EventStore } from './events.js';
import type { Memberships } from './memberships.js';
import type { SignedEvent } from './pdu.js';
import type { Sender } from './sender.js';
import { DraftState, keyOf } from './state.js';

const Visibility = v.picklist(['public', 'private']);
const Preset = v.picklist(['private_chat', 'trusted_private_chat', 'public_chat']);

const CreateRoom = v.object({
  visibility: v.optional(Visibility, 'private'),
  room_alias_name: v.optional(v.string()),
  name: v.optional(v.string()),
  topic: v.optional(v.string()),
  invite: v.optional(v.array(UserId), []),
  invite_3pid: v.optional(v.array(v.unknown()), []),
  room_version: v.optional(v.unknown(), ROOM_VERSION),
  creation_content: v.optional(JsonObject, {}),
  initial_state: v.optional(
    v.array(v.object({ type: v.string(), state_key: v.optional(v.string(), ''), content: JsonObject })),
    [],
  ),
  preset: v.optional(Preset),
  is_direct: v.optional(v.boolean(), false),
  power_level_content_override: v.optional(JsonObject, {}),
});
type CreateRoom = v.InferOutput<typeof CreateRoom>;

const PRESETS = {
  private_chat: { joinRule: 'invite', guests: 'can_join', trusted: false },
  trusted_private_chat: { joinRule: 'invite', guests: 'can_join', trusted: true },
  public_chat: { joinRule: 'public', guests: 'forbidden', trusted: false },
} as const;

export class RoomCreator {
  readonly #config: HomeserverConfig;
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  readonly #sender: Sender;
  readonly #memberships: Memberships;
  readonly #directory: Directory;
  readonly #modules: Modules;
  readonly #logger: Logger;

  constructor(parts: {
    readonly config: HomeserverConfig;
    readonly accounts: Accounts;
    readonly events: EventStore;
    readonly sender: Sender;
    readonly memberships: Memberships;
    readonly directory: Directory;
    readonly modules: Modules;
    readonly logger: Logger;
  }) {
    this.#config = parts.config;
    this.#accounts = parts.accounts;
    this.#events = parts.events;
    this.#sender = parts.sender;
    this.#memberships = parts.memberships;
    this.#directory = parts.directory;
    this.#modules = parts.modules;
    this.#logger = parts.logger;
  }

  /** @returns the new room's id */
  async create(requester: Requester, asked: Readonly<Record<string, unknown>>): Promise<string> {
    const isAdmin = this.#accounts.isAdmin(requester.userId);

    // First of all: what the module makes of the request is what everything after this looks at.
    const outcome = await this.#modules.thirdPartyRules.onCreateRoom(requester, asked, isAdmin);
    if (!outcome.allowed) throw new RefusedByModule(outcome);
    if (!isAdmin) {
      const verdict = await this.#modules.spamChecker.userMayCreateRoom(requester.userId, outcome.content);
      if (!verdict.allowed) throw new RefusedByModule(verdict);
    }

    const wish = check(CreateRoom, outcome.content);
    if (wish.room_version !== ROOM_VERSION) throw unsupportedRoomVersion(wish.room_version);
    if (wish.invite_3pid.length > 0) throw invalidParam('This server sends no invites by e-mail');
    const roomId = newRoomId(this.#config.serverName);
    const alias = this.#aliasOf(wish);
    if (alias !== undefined) await this.#directory.checkNewAlias(requester.userId, alias);
    const published = wish.visibility === 'public';
    if (published) await this.#directory.checkPublish(requester.userId, roomId);
    const invitees = new Set(wish.invite);
    if (invitees.has(requester.userId)) throw forbidden('You are in the room already');
    for (const invitee of invitees) await this.#memberships.checkInvite(requester, invitee, roomId);

    const made = await prepareRoom(this.#sender, await this.#drafts(requester, roomId, wish, alias));

    const onlyFor = requester.shadowBanned ? requester.userId : null;
    const { deviceId } = requester;
    await this.#events.append(async (tx) => {
      await insertRoom(tx, roomId, requester.userId, published);
      if (alias !== undefined) await this.#directory.insertAlias(tx, alias, roomId, requester.userId);
      return made.map((signed) => ({ ...signed, onlyFor, deviceId }));
    });
    this.#sender.announce(made, onlyFor);
    for (const target of invitees) {
      if (this.#isElsewhere(target, requester)) await this.#inviteElsewhere(requester, roomId, target, wish.is_direct);
    }
    return roomId;
  }

  /** Whose server signs his invite as well: it must have a room to look at. */
  #isElsewhere(userId: string, { shadowBanned }: Requester): boolean {
    return !shadowBanned && this.#memberships.elsewhere?.isRemote(userId) === true;
  }

  /** The room exists by now, whether or not they come. */
  async #inviteElsewhere(author: Requester, roomId: string, target: string, isDirect: boolean): Promise<void> {
    const content = isDirect ? { is_direct: true } : {};
    const draft = await this.#memberships.draft(author, { roomId, target, membership: 'invite', content });
    await this.#memberships.elsewhere
      ?.invite(author, draft)
      .catch((error: unknown) => this.#logger.warn({ err: error, roomId, target }, 'A user could not be invited'));
  }

  #aliasOf({ room_alias_name: name }: CreateRoom): string | undefined {
    if (name === undefined) return undefined;
    const alias = `#${name}:${this.#config.serverName}`;
    if (name.includes(':') || !v.is(RoomAlias, alias)) throw invalidParam('room_alias_name is no alias localpart');
    return alias;
  }

  /** The events of a new room, in the specification's order. */
  async #drafts(
    requester: Requester,
    roomId: string,
    wish: CreateRoom,
    alias: string | undefined,
  ): Promise<readonly EventDraft[]> {
    const sender = requester.userId;
    const preset = PRESETS[wish.preset ?? (wish.visibility === 'public' ? 'public_chat' : 'private_chat')];
    const drafts = new Map<string, EventDraft>();
    const add = (type: string, content: Content, stateKey = '') =>
      drafts.set(keyOf(type, stateKey), { type, room_id: roomId, sender, state_key: stateKey, content });

    add('m.room.create', { ...wish.creation_content, room_version: ROOM_VERSION });
    const join = await this.#memberships.draft(requester, { roomId, target: sender, membership: 'join' });
    add('m.room.member', join.content, sender);
    add('m.room.power_levels', {
      ...defaultPowerLevels(sender, preset.trusted ? wish.invite : []),
      ...wish.power_level_content_override,
    });
    if (alias !== undefined) add('m.room.canonical_alias', { alias });
    add('m.room.join_rules', { join_rule: preset.joinRule });
    add('m.room.history_visibility', { history_visibility: 'shared' });
    add('m.room.guest_access', { guest_access: preset.guests });
    // A Map keeps a key's first place, so what stands here under a preset's key takes its place.
    for (const { type, state_key, content } of wish.initial_state) {
      if (type === 'm.room.create' || type === 'm.room.member')
        throw invalidParam(`initial_state may not hold ${type}`);
      add(type, content, state_key);
    }
    if (wish.name !== undefined) add('m.room.name', { name: wish.name });
    if (wish.topic !== undefined) add('m.room.topic', { topic: wish.topic });
    for (const target of new Set(wish.invite)) {
      if (this.#isElsewhere(target, requester)) continue;
      const content = wish.is_direct ? { is_direct: true } : {};
      const invite = await this.#memberships.draft(requester, { roomId, target, membership: 'invite', content });
      add('m.room.member', invite.content, target);
    }
    return [...drafts.values()];
  }
}

/** Takes the events of a new room, the first of them m.room.create, through everything that comes before storing. */
export async function prepareRoom(sender: Sender, drafts: readonly EventDraft[]): Promise<readonly SignedEvent[]> {
  let state = new DraftState();
  const made: SignedEvent[] = [];
  for (const draft of drafts) {
    const last = made.at(-1);
    const after = last ? [{ eventId: last.event.event_id, depth: last.envelope.depth }] : [];
    const signed = await sender.prepare(draft, state, after);
    state = state.with(signed.event);
    made.push(signed);
  }
  return made;
}

export async function insertRoom(tx: Database, roomId: string, creator: string, published: boolean): Promise<void> {
  await tx.insert(rooms).values({ roomId, creator, version: ROOM_VERSION, published, createdTs: Date.now() });
}

const defaultPowerLevels = (creator: string, trusted: readonly string[]): Content => ({
  users: Object.fromEntries([creator, ...trusted].map((userId) => [userId, 100])),
  users_default: 0,
  events: {
    'm.room.name': 50,
    'm.room.power_levels': 100,
    'm.room.history_visibility': 100,
    'm.room.canonical_alias': 50,
    'm.room.avatar': 50,
    'm.room.tombstone': 100,
    'm.room.server_acl': 100,
    'm.room.encryption': 100,
  },
  events_default: 0,
  state_default: 50,
  ban: 50,
  kick: 50,
  redact: 50,
  invite: 0,
});
