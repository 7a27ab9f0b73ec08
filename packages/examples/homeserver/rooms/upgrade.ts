// Room upgrades (client-server API, "Room Upgrades"): another room takes the place of one, which is closed. The new room,
// the aliases and the tombstone come in one transaction: a room is replaced whole or not at all.

import type { Logger, Modules } from '@bulkhead/runtime';
import type { Requester } from '@bulkhead/sdk/contract';
import type { HomeserverConfig } from '../config.js';
import { forbidden, RefusedByModule, unsupportedRoomVersion } from '../errors.js';
import { newRoomId } from '../ids.js';
import { insertRoom, prepareRoom } from './create.js';
import type { Directory } from './directory.js';
import { type Content, type EventDraft, ROOM_VERSION } from './event.js';
import type { EventStore } from './events.js';
import type { Memberships } from './memberships.js';
import { level } from './power-levels.js';
import type { Sender } from './sender.js';
import type { StateView } from './state.js';

/** What the specification recommends to carry over; the power levels come last. */
const TRANSFERRED = [
  'm.room.server_acl',
  'm.room.encryption',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.join_rules',
];

export class RoomUpgrader {
  readonly #config: HomeserverConfig;
  readonly #events: EventStore;
  readonly #sender: Sender;
  readonly #memberships: Memberships;
  readonly #directory: Directory;
  readonly #modules: Modules;
  readonly #logger: Logger;

  constructor(parts: {
    readonly config: HomeserverConfig;
    readonly events: EventStore;
    readonly sender: Sender;
    readonly memberships: Memberships;
    readonly directory: Directory;
    readonly modules: Modules;
    readonly logger: Logger;
  }) {
    this.#config = parts.config;
    this.#events = parts.events;
    this.#sender = parts.sender;
    this.#memberships = parts.memberships;
    this.#directory = parts.directory;
    this.#modules = parts.modules;
    this.#logger = parts.logger;
  }

  /** @returns the id of the room that takes the old one's place */
  async upgrade(requester: Requester, oldRoom: string, version: string): Promise<string> {
    if (version !== ROOM_VERSION) throw unsupportedRoomVersion(version);
    const { userId, deviceId, shadowBanned } = requester;
    const asked = this.#events.head;
    const state = this.#events.state(oldRoom, userId);
    if (!(await state.get('m.room.create', ''))) throw forbidden('You are not in the room');
    const after = await this.#events.extremities(oldRoom, userId);

    // Whoever may not close the old room is told so before a new one is thought of.
    const newRoom = newRoomId(this.#config.serverName);
    const content = { body: 'This room has been replaced', replacement_room: newRoom };
    const closing = { type: 'm.room.tombstone', room_id: oldRoom, sender: userId, state_key: '', content };
    const tombstone = await this.#sender.prepare(closing, state, after);

    const aliases = shadowBanned ? [] : await this.#directory.aliasesOf(oldRoom);
    const predecessor = { room_id: oldRoom, event_id: after[0]?.eventId };
    const drafts = await this.#drafts(requester, newRoom, predecessor, state, aliases);
    const wish = { room_version: version, creation_content: drafts[0]?.content ?? {} };
    const verdict = await this.#modules.spamChecker.userMayCreateRoom(userId, wish);
    if (!verdict.allowed) throw new RefusedByModule(verdict);
    const made = await prepareRoom(this.#sender, drafts);

    const onlyFor = shadowBanned ? userId : null;
    const stored = await this.#events.append(async (tx) => {
      const closed = await this.#sender.asOfNow(tombstone, requester, asked, tx);
      await insertRoom(tx, newRoom, userId, false);
      if (!shadowBanned) await this.#directory.moveEntries(tx, oldRoom, newRoom);
      return [...made, closed].map((signed) => ({ ...signed, onlyFor, deviceId }));
    });
    this.#sender.announce(stored, onlyFor);
    await this.#silence(requester, oldRoom, state);
    return newRoom;
  }

  async #drafts(
    requester: Requester,
    roomId: string,
    predecessor: object,
    old: StateView,
    aliases: readonly string[],
  ): Promise<readonly EventDraft[]> {
    const { userId: sender } = requester;
    const draft = (type: string, content: Content): EventDraft => ({
      type,
      room_id: roomId,
      sender,
      state_key: '',
      content,
    });
    const contentOf = async (type: string) => (await old.get(type, ''))?.content;

    const { type, 'm.federate': federate } = (await contentOf('m.room.create')) ?? {};
    const kind = {
      ...(type === undefined ? {} : { type }),
      ...(federate === undefined ? {} : { 'm.federate': federate }),
    };
    const drafts = [
      draft('m.room.create', { ...kind, room_version: ROOM_VERSION, predecessor }),
      await this.#memberships.draft(requester, { roomId, target: sender, membership: 'join' }),
    ];
    for (const event of await old.getAll(TRANSFERRED.map((type) => [type, ''] as const))) {
      drafts.push(draft(event.type, event.content));
    }
    const names = movedNames(await contentOf('m.room.canonical_alias'), aliases);
    if (names) drafts.push(draft('m.room.canonical_alias', names));
    // Without them the creator may do everything; with them he may be too weak for what comes before.
    const levels = await contentOf('m.room.power_levels');
    if (levels) drafts.push(draft('m.room.power_levels', levels));
    return drafts;
  }

  /** As far as the user may: nobody talks in the old room any more, invites into it, or calls it by names that have moved. */
  async #silence(requester: Requester, roomId: string, old: StateView): Promise<void> {
    const levels = (await old.get('m.room.power_levels', ''))?.content ?? {};
    const least = Math.max(50, (level(levels.users_default) ?? 0) + 1);
    const raised = Object.fromEntries(
      ['events_default', 'invite'].map((key) => [key, Math.max(least, level(levels[key]) ?? 0)]),
    );
    const changes: [string, Content][] = [['m.room.power_levels', { ...levels, ...raised }]];
    if (!requester.shadowBanned && (await old.get('m.room.canonical_alias', '')))
      changes.push(['m.room.canonical_alias', {}]);
    for (const [type, content] of changes) {
      const draft = { type, room_id: roomId, sender: requester.userId, state_key: '', content };
      await this.#sender
        .send(requester, draft)
        .catch((error: unknown) =>
          this.#logger.warn({ err: error, roomId, type }, 'A room that was replaced is not wholly closed'),
        );
    }
  }
}

function movedNames(content: Content | undefined, moved: readonly string[]): Content | undefined {
  const { alias, alt_aliases } = content ?? {};
  const isMoved = (name: unknown) => moved.some((each) => each === name);
  const others = Array.isArray(alt_aliases) ? alt_aliases.filter(isMoved) : [];
  if (!isMoved(alias) && others.length === 0) return undefined;
  return { ...(isMoved(alias) ? { alias } : {}), ...(others.length > 0 ? { alt_aliases: others } : {}) };
}
