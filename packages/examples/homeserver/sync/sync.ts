// What a client has not seen yet. Each call looks from the token to the head of each stream and no further, so what is
// stored meanwhile is the next call's.

import { PRESENCE_ALL_USERS, type UserPresenceState } from '@bulkhead/sdk/contract';
import type { Filter } from '../filters/filter.js';
import type { Filters } from '../filters/filters.js';
import { type Presence, type PresenceTracker, presenceContent } from '../presence/presence.js';
import type { Unread } from '../push/unread.js';
import type { Typing } from '../receipts/typing.js';
import { STRIPPED_STATE, strippedEvent } from '../rooms/client-event.js';
import type { EventStore, Member, Membership } from '../rooms/events.js';
import type { Memberships } from '../rooms/memberships.js';
import type { Changes } from './changes.js';
import type { Interest, Notifier } from './notifier.js';
import type { Json, Part, Piece, View } from './part.js';
import { isJoinedAt, type RoomSync, roomBody, tellsSomething } from './rooms.js';
import { formatSyncToken, parseSyncToken, type SyncToken } from './token.js';

export interface SyncRequest {
  readonly userId: string;
  readonly deviceId: string | undefined;
  readonly shadowBanned: boolean;
  readonly since: string | undefined;
  readonly timeoutMs: number;
  readonly fullState: boolean;
  readonly presence: Presence;
  /** The id of a filter, or a filter. */
  readonly filter: string | undefined;
  /** Fires when the client is gone. */
  readonly signal: AbortSignal;
}

interface SyncBody extends Json {
  readonly next_batch: string;
  readonly rooms: { readonly join: Json; readonly invite: Json; readonly knock: Json; readonly leave: Json };
  readonly presence: { readonly events: readonly Json[] };
  readonly account_data: { readonly events: readonly Json[] };
  readonly to_device: { readonly events: readonly Json[] };
  readonly device_lists: NonNullable<Piece['deviceLists']>;
}

export class Sync {
  readonly #events: EventStore;
  readonly #memberships: Memberships;
  readonly #presence: PresenceTracker;
  readonly #typing: Typing;
  readonly #changes: Changes;
  readonly #notifier: Notifier;
  readonly #filters: Filters;
  readonly #rooms: RoomSync;
  readonly #unread: Unread;
  readonly #parts: readonly Part[];

  constructor(streams: {
    readonly events: EventStore;
    readonly memberships: Memberships;
    readonly presence: PresenceTracker;
    readonly typing: Typing;
    readonly changes: Changes;
    readonly notifier: Notifier;
    readonly filters: Filters;
    readonly rooms: RoomSync;
    readonly unread: Unread;
    readonly parts: readonly Part[];
  }) {
    this.#events = streams.events;
    this.#memberships = streams.memberships;
    this.#presence = streams.presence;
    this.#typing = streams.typing;
    this.#changes = streams.changes;
    this.#notifier = streams.notifier;
    this.#filters = streams.filters;
    this.#rooms = streams.rooms;
    this.#unread = streams.unread;
    this.#parts = streams.parts;
  }

  async sync(request: SyncRequest): Promise<SyncBody> {
    const since = request.since === undefined ? undefined : parseSyncToken(request.since);
    const filter = await this.#filters.named(request.userId, request.filter);
    return this.#presence.syncing(request.userId, request.presence, async () => {
      const interest = await this.#presence.interestOf(request.userId);
      return this.#poll(request, since, filter, interest);
    });
  }

  /** An initial sync, or one that asks for all state, is answered at once; others when there is something to tell. */
  async #poll(
    request: SyncRequest,
    since: SyncToken | undefined,
    filter: Filter,
    interest: Interest,
  ): Promise<SyncBody> {
    const { userId, deviceId, shadowBanned, fullState } = request;
    const deadline = performance.now() + request.timeoutMs;
    const poller = this.#notifier.listen(userId, request.signal);
    try {
      for (;;) {
        const { until, memberships: all } = await this.#snapshot(userId);
        const memberships = all.filter(({ roomId }) => filter.includesRoom(roomId));
        const joined = roomsIn(memberships, 'join');
        poller.follow(joined, interest);
        // What came before the poller followed its rooms has woken nobody.
        const behind = isBehind(until, this.#heads());
        const known = { userId, deviceId, shadowBanned, since, until, fullState, filter, memberships, joined };
        const view = { ...known, begun: await this.#begun(known) };
        const body = await this.#collect(view, interest);
        const left = deadline - performance.now();
        if (!since || fullState || hasNews(body) || left <= 0 || poller.ended) return body;
        if (!behind) await poller.wait(left);
      }
    } finally {
      poller.close();
    }
  }

  #heads(): SyncToken {
    const changes = this.#changes.head;
    const [events, presence, typing] = [this.#events.head, this.#presence.position, this.#typing.position];
    return { events, presence, typing, changes, messages: changes };
  }

  /** The head of the streams, and the user's memberships there. */
  async #snapshot(userId: string): Promise<Pick<View, 'until' | 'memberships'>> {
    for (;;) {
      const until = this.#heads();
      const memberships = await this.#events.membershipsOf(userId);
      // One that changed just now would hide what the room was to the user at the head.
      if (memberships.every(({ position }) => position <= until.events)) return { until, memberships };
    }
  }

  async #collect(view: View, interest: Interest): Promise<SyncBody> {
    const { since, until, filter } = view;
    const piece = merged(await Promise.all(this.#parts.map((part) => part.collect(view))));
    return {
      ...piece.always,
      next_batch: formatSyncToken({ ...until, ...piece.next }),
      rooms: {
        join: await this.#joined(view, piece),
        invite: await this.#outside(view, 'invite'),
        knock: await this.#outside(view, 'knock'),
        leave: await this.#left(view),
      },
      presence: {
        events: (await this.#presenceFor(view, interest)).map(presenceEvent).filter(passes(filter.presence)),
      },
      account_data: { events: (piece.accountData ?? []).filter(passes(filter.accountData)) },
      to_device: { events: piece.toDevice ?? [] },
      device_lists: since ? (piece.deviceLists ?? NOBODY_CHANGED) : NOBODY_CHANGED,
    };
  }

  async #joined(view: View, { ephemeral, roomAccountData }: Piece): Promise<Json> {
    const { userId, since, until, filter, joined, begun, fullState } = view;
    const known = joined.filter((roomId) => !begun.has(roomId));
    const news = new Set(await this.#events.roomsWithNews(known, userId, since?.events ?? 0, until.events));
    const join: Record<string, Json> = {};
    for (const roomId of joined) {
      const moving = (ephemeral?.get(roomId) ?? []).filter(passes(filter.ephemeral, roomId));
      const data = (roomAccountData?.get(roomId) ?? []).filter(passes(filter.roomAccountData, roomId));
      const changed = news.has(roomId) || fullState;
      if (begun.has(roomId)) {
        join[roomId] = roomBody(await this.#rooms.begin(view, roomId), view, moving, data);
      } else if (changed || moving.length > 0 || data.length > 0) {
        const room = changed ? await this.#rooms.continue(view, roomId) : nothingNew(until.events);
        const tells = moving.length > 0 || data.length > 0 || tellsSomething(room);
        if (tells) join[roomId] = roomBody(room, view, moving, data);
      }
    }
    for (const [roomId, counts] of await this.#unread.of(view, Object.keys(join))) {
      join[roomId] = { ...join[roomId], unread_notifications: counts };
    }
    return join;
  }

  /** The rooms that the user is invited to, or knocks at. */
  async #outside(view: View, wanted: 'invite' | 'knock'): Promise<Json> {
    const rooms: Json = {};
    for (const { roomId, membership, position } of view.memberships) {
      if (membership !== wanted || position <= (view.since?.events ?? 0)) continue;
      rooms[roomId] = { [`${wanted}_state`]: await this.#strippedState(view, roomId) };
    }
    return rooms;
  }

  async #left(view: View): Promise<Json> {
    const { userId, since, memberships, filter } = view;
    const wanted = since !== undefined || filter.includeLeave;
    const left = memberships.filter(
      ({ membership, position }) => wanted && GONE.has(membership) && position > (since?.events ?? 0),
    );
    const forgotten = left.length > 0 ? await this.#memberships.forgottenBy(userId) : new Set<string>();
    const leave: Json = {};
    for (const member of left) {
      if (forgotten.has(member.roomId)) continue;
      leave[member.roomId] = roomBody(await this.#rooms.leave(view, member), view, [], []);
    }
    return leave;
  }

  /** The rooms that the user has joined since the client synced last. A new profile is a new membership, and no new room. */
  async #begun({ userId, since, memberships, joined }: Omit<View, 'begun'>): Promise<ReadonlySet<string>> {
    if (!since) return new Set(joined);
    const changed = memberships.filter(({ position }) => position > since.events);
    const begun = new Set<string>();
    for (const roomId of roomsIn(changed, 'join')) {
      if (!(await isJoinedAt(this.#events, roomId, userId, since.events))) begun.add(roomId);
    }
    return begun;
  }

  /** What those get to see of a room who are not in it yet. */
  async #strippedState({ userId, until }: View, roomId: string): Promise<Json> {
    const state = this.#events.stateAt(roomId, userId, until.events);
    const own = await state.get('m.room.member', userId);
    const shown = await state.getAll([
      ...STRIPPED_STATE.map((type) => [type, ''] as const),
      ['m.room.member', own?.sender ?? userId],
      ...(own?.sender === userId ? [] : [['m.room.member', userId] as const]),
    ]);
    // Of a room on another server it is what that has told with the invite.
    const isHere = shown.some(({ type }) => type === 'm.room.create');
    const told = isHere || !own ? [] : await this.#events.inviteState(own.event_id);
    return { events: [...told, ...shown.map(strippedEvent)] };
  }

  async #presenceFor(view: View, interest: Interest): Promise<readonly UserPresenceState[]> {
    const { userId, since, until } = view;
    if (!since) {
      const present = this.#presence.subjects(undefined);
      return this.#presence.present(userId, followed(await this.#events.sharingRooms(userId, present), interest));
    }
    const arrived = await this.#arrived(view, since);
    if (since.presence >= until.presence && arrived.size === 0) return [];
    const sharing = await this.#events.sharingRooms(userId, this.#presence.subjects(since.presence));
    return this.#presence.changes(userId, followed(sharing, interest), since.presence, arrived);
  }

  /** Those who are there and whom the user sees only since he, or they, came into a room. */
  async #arrived({ userId, until, joined, begun }: View, since: SyncToken): Promise<ReadonlySet<string>> {
    if (since.events >= until.events) return new Set();
    const present = this.#presence.subjects(undefined);
    const came = await this.#events.membershipChanges(joined, userId, since.events, until.events, present);
    const met = await this.#events.joinedAmong([...begun], present, userId);
    return new Set([...met, ...came.filter(({ membership }) => membership === 'join').map((member) => member.userId)]);
  }
}

const isBehind = (until: SyncToken, heads: SyncToken) =>
  (Object.keys(heads) as (keyof SyncToken)[]).some((stream) => heads[stream] > until[stream]);

const followed = (sharing: ReadonlySet<string>, interest: Interest) => (subject: string) =>
  sharing.has(subject) || interest === PRESENCE_ALL_USERS || interest.has(subject);

const passes =
  (filter: Filter['presence'], roomId?: string) =>
  (event: Json): boolean =>
    filter.passes(event, roomId);

/** A room of which there is something to tell beside its events. */
const nothingNew = (before: number) => ({ state: [], timeline: [], limited: false, before });

function merged(pieces: readonly Piece[]): Piece {
  const all = <K extends 'accountData' | 'toDevice'>(key: K) => pieces.flatMap((piece) => piece[key] ?? []);
  const rooms = (key: 'ephemeral' | 'roomAccountData') => {
    const joint = new Map<string, readonly Json[]>();
    for (const piece of pieces) {
      for (const [roomId, events] of piece[key] ?? []) joint.set(roomId, [...(joint.get(roomId) ?? []), ...events]);
    }
    return joint;
  };
  const deviceLists = pieces.find((piece) => piece.deviceLists)?.deviceLists;
  return {
    accountData: all('accountData'),
    toDevice: all('toDevice'),
    ephemeral: rooms('ephemeral'),
    roomAccountData: rooms('roomAccountData'),
    ...(deviceLists ? { deviceLists } : {}),
    always: Object.assign({}, ...pieces.map((piece) => piece.always)),
    next: Object.assign({}, ...pieces.map((piece) => piece.next)),
  };
}

const NOBODY_CHANGED = { changed: [], left: [] };

const GONE: ReadonlySet<Membership> = new Set(['leave', 'ban']);

const roomsIn = (memberships: readonly Member[], wanted: Membership) =>
  memberships.filter(({ membership }) => membership === wanted).map(({ roomId }) => roomId);

const presenceEvent = (state: UserPresenceState): Json => ({
  type: 'm.presence',
  sender: state.user_id,
  content: presenceContent(state),
});

const hasNews = ({ rooms, presence, account_data, to_device, device_lists }: SyncBody) =>
  [rooms.join, rooms.invite, rooms.knock, rooms.leave].some((each) => Object.keys(each).length > 0) ||
  [presence, account_data, to_device].some(({ events }) => events.length > 0) ||
  device_lists.changed.length > 0 ||
  device_lists.left.length > 0;
