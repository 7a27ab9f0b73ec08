// What a client has not seen yet. Each call looks from the token to the head of the stream and no further, so what is
// stored meanwhile is the next call's.

import { PRESENCE_ALL_USERS, type UserPresenceState } from '@bulkhead/sdk/contract';
import { type Presence, type PresenceTracker, presenceContent } from '../presence/presence.js';
import { STRIPPED_STATE, strippedEvent, syncEvent } from '../rooms/client-event.js';
import { membershipOf } from '../rooms/event.js';
import type { EventStore, Member, Membership, Range, StoredEvent } from '../rooms/events.js';
import { visibleRanges, within } from '../rooms/history.js';
import type { Memberships } from '../rooms/memberships.js';
import type { Interest, Notifier } from './notifier.js';
import { formatHistoryToken, formatSyncToken, parseSyncToken, type SyncToken } from './token.js';

export interface SyncRequest {
  readonly userId: string;
  readonly deviceId: string | undefined;
  readonly since: string | undefined;
  readonly timeoutMs: number;
  readonly fullState: boolean;
  readonly presence: Presence;
  /** Fires when the client is gone. */
  readonly signal: AbortSignal;
}

const TIMELINE_LIMIT = 20;

type Json = Record<string, unknown>;

interface SyncBody {
  readonly next_batch: string;
  readonly rooms: { readonly join: Json; readonly invite: Json; readonly knock: Json; readonly leave: Json };
  readonly presence: { readonly events: readonly Json[] };
  readonly account_data: { readonly events: readonly Json[] };
}

/** One request's view: who asks, from where, up to where. */
interface View {
  readonly userId: string;
  readonly deviceId: string | undefined;
  readonly since: SyncToken | undefined;
  readonly until: SyncToken;
  readonly fullState: boolean;
  /** The user's, at `until`. */
  readonly memberships: readonly Member[];
}

export class Sync {
  readonly #events: EventStore;
  readonly #memberships: Memberships;
  readonly #presence: PresenceTracker;
  readonly #notifier: Notifier;

  constructor(events: EventStore, memberships: Memberships, presence: PresenceTracker, notifier: Notifier) {
    this.#events = events;
    this.#memberships = memberships;
    this.#presence = presence;
    this.#notifier = notifier;
  }

  sync(request: SyncRequest): Promise<SyncBody> {
    const since = request.since === undefined ? undefined : parseSyncToken(request.since);
    return this.#presence.syncing(request.userId, request.presence, async () => {
      const interest = await this.#presence.interestOf(request.userId);
      return this.#poll(request, since, interest);
    });
  }

  /** An initial sync, or one that asks for all state, is answered at once; others when there is something to tell. */
  async #poll(request: SyncRequest, since: SyncToken | undefined, interest: Interest): Promise<SyncBody> {
    const { userId, deviceId, fullState } = request;
    const deadline = performance.now() + request.timeoutMs;
    const poller = this.#notifier.listen(userId, request.signal);
    try {
      for (;;) {
        const { until, memberships } = await this.#snapshot(userId);
        poller.follow(roomsIn(memberships, 'join'), interest);
        // What came before the poller followed its rooms has woken nobody.
        const behind = this.#events.head > until.events || this.#presence.position > until.presence;
        const body = await this.#collect({ userId, deviceId, since, until, fullState, memberships }, interest);
        const left = deadline - performance.now();
        if (!since || fullState || hasNews(body) || left <= 0 || poller.ended) return body;
        if (!behind) await poller.wait(left);
      }
    } finally {
      poller.close();
    }
  }

  /** The head of the streams, and the user's memberships there. */
  async #snapshot(userId: string): Promise<Pick<View, 'until' | 'memberships'>> {
    for (;;) {
      const until = { events: this.#events.head, presence: this.#presence.position };
      const memberships = await this.#events.membershipsOf(userId);
      // One that changed just now would hide what the room was to the user at the head.
      if (memberships.every(({ position }) => position <= until.events)) return { until, memberships };
    }
  }

  async #collect(view: View, interest: Interest): Promise<SyncBody> {
    const { userId, since, until, memberships } = view;
    const after = since?.events ?? 0;

    const joined = roomsIn(memberships, 'join');
    const begun = await this.#begun(view);
    const news = new Set(await this.#events.roomsWithNews(joined, userId, after, until.events));
    const join: Json = {};
    const arrived = new Set<string>();
    for (const roomId of joined) {
      if (!begun.has(roomId) && !news.has(roomId) && !view.fullState) continue;
      const room = begun.has(roomId) ? await this.#beginRoom(view, roomId) : await this.#continueRoom(view, roomId);
      join[roomId] = roomBody(room, view);
      for (const { event } of [...room.state, ...room.timeline]) {
        if (membershipOf(event) === 'join' && event.state_key !== undefined) arrived.add(event.state_key);
      }
    }

    const invite: Json = {};
    const knock: Json = {};
    for (const { roomId, membership, position } of memberships) {
      if (position <= after) continue;
      if (membership === 'invite') invite[roomId] = { invite_state: await this.#strippedState(view, roomId) };
      if (membership === 'knock') knock[roomId] = { knock_state: await this.#strippedState(view, roomId) };
    }

    const left = since
      ? memberships.filter(({ membership, position }) => GONE.has(membership) && position > after)
      : [];
    const forgotten = left.length > 0 ? await this.#memberships.forgottenBy(userId) : new Set<string>();
    const leave: Json = {};
    for (const member of left) {
      if (!forgotten.has(member.roomId)) leave[member.roomId] = roomBody(await this.#leaveRoom(view, member), view);
    }

    return {
      next_batch: formatSyncToken(until),
      rooms: { join, invite, knock, leave },
      presence: { events: (await this.#presenceFor(view, interest, arrived)).map(presenceEvent) },
      account_data: { events: [] },
    };
  }

  /** The rooms that the user has joined since the client synced last. A new profile is a new membership, and no new room. */
  async #begun({ userId, since, memberships }: View): Promise<ReadonlySet<string>> {
    if (!since) return new Set(roomsIn(memberships, 'join'));
    const changed = memberships.filter(({ position }) => position > since.events);
    const begun = new Set<string>();
    for (const roomId of roomsIn(changed, 'join')) {
      if (!(await this.#isJoinedAt(roomId, userId, since.events))) begun.add(roomId);
    }
    return begun;
  }

  async #isJoinedAt(roomId: string, userId: string, position: number): Promise<boolean> {
    const member = await this.#events.stateAt(roomId, userId, position).get('m.room.member', userId);
    return member !== undefined && membershipOf(member) === 'join';
  }

  /** A room that the client does not know: its latest events, and all of the state before them. */
  async #beginRoom({ userId, until }: View, roomId: string): Promise<RoomNews> {
    const ranges = visibleRanges(await this.#events.historyOf(roomId, userId), userId, until.events);
    // Of several stretches the last one: between two of them state may have changed that the user may not see.
    const timeline = await this.#latest(roomId, userId, ranges.slice(-1));
    const before = (timeline.events[0]?.position ?? until.events + 1) - 1;
    const state = await this.#events.stateSince(roomId, userId, 0, before);
    return { state, timeline: timeline.events, limited: timeline.limited || ranges.length > 1, before };
  }

  /** A room that the client knows. The user was in it all the time, so he may see everything. */
  async #continueRoom({ userId, since, until, fullState }: View, roomId: string): Promise<RoomNews> {
    const after = since?.events ?? 0;
    const { events: timeline, limited } = await this.#latest(roomId, userId, [[after + 1, until.events]]);
    const before = (timeline[0]?.position ?? until.events + 1) - 1;
    const state =
      limited || fullState ? await this.#events.stateSince(roomId, userId, fullState ? 0 : after, before) : [];
    return { state, timeline, limited, before };
  }

  async #leaveRoom({ userId, since }: View, { roomId, position }: Member): Promise<RoomNews> {
    const after = since?.events ?? 0;
    const ranges = visibleRanges(await this.#events.historyOf(roomId, userId), userId, position);
    const { events: timeline, limited } = await this.#latest(
      roomId,
      userId,
      within(ranges, after + 1, position).slice(-1),
    );
    const before = (timeline[0]?.position ?? position) - 1;
    const wasThere = await this.#isJoinedAt(roomId, userId, before);
    const state = limited && wasThere ? await this.#events.stateSince(roomId, userId, after, before) : [];
    return { state, timeline, limited, before };
  }

  async #latest(roomId: string, userId: string, ranges: readonly Range[]) {
    const page = await this.#events.page(roomId, userId, ranges, 'backwards', TIMELINE_LIMIT + 1);
    const limited = page.length > TIMELINE_LIMIT;
    return { events: page.slice(0, TIMELINE_LIMIT).reverse(), limited };
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

  async #presenceFor(
    { userId, since, until }: View,
    interest: Interest,
    arrived: ReadonlySet<string>,
  ): Promise<readonly UserPresenceState[]> {
    if (since && since.presence >= until.presence && arrived.size === 0) return [];
    const sharing = await this.#events.sharingRooms(userId, this.#presence.subjects(since?.presence));
    const follows = (subject: string) =>
      sharing.has(subject) || interest === PRESENCE_ALL_USERS || interest.has(subject);
    return since
      ? this.#presence.changes(userId, follows, since.presence, arrived)
      : this.#presence.present(userId, follows);
  }
}

const GONE: ReadonlySet<Membership> = new Set(['leave', 'ban']);

const roomsIn = (memberships: readonly Member[], wanted: Membership) =>
  memberships.filter(({ membership }) => membership === wanted).map(({ roomId }) => roomId);

interface RoomNews {
  readonly state: readonly StoredEvent[];
  readonly timeline: readonly StoredEvent[];
  readonly limited: boolean;
  /** The position before the first event of the timeline. */
  readonly before: number;
}

const roomBody = ({ state, timeline, limited, before }: RoomNews, { userId, deviceId }: View): Json => ({
  timeline: {
    events: timeline.map((stored) => syncEvent(stored, userId, deviceId)),
    limited,
    prev_batch: formatHistoryToken(before),
  },
  state: { events: state.map((stored) => syncEvent(stored, userId, deviceId)) },
  ephemeral: { events: [] },
  account_data: { events: [] },
});

const presenceEvent = (state: UserPresenceState): Json => ({
  type: 'm.presence',
  sender: state.user_id,
  content: presenceContent(state),
});

const hasNews = ({ rooms: { join, invite, knock, leave }, presence }: SyncBody) =>
  [join, invite, knock, leave].some((rooms) => Object.keys(rooms).length > 0) || presence.events.length > 0;
