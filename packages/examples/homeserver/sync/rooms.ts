// What a client has not seen yet of one room: the end of its timeline, and the state before that.

import { filteredPage } from '../filters/page.js';
import { syncEvent } from '../rooms/client-event.js';
import type { EventStore, Member, Range, StoredEvent } from '../rooms/events.js';
import { visibleRanges, within } from '../rooms/history.js';
import { membershipIn } from '../rooms/state.js';
import type { Json, View } from './part.js';
import type { Summaries, Summary } from './summary.js';
import { formatHistoryToken } from './token.js';

const TIMELINE_LIMIT = 20;
const MAX_TIMELINE_LIMIT = 100;

export interface RoomNews {
  readonly state: readonly StoredEvent[];
  readonly timeline: readonly StoredEvent[];
  readonly limited: boolean;
  /** The position before the first event of the timeline. */
  readonly before: number;
  readonly summary?: Summary;
}

export class RoomSync {
  readonly #events: EventStore;
  readonly #summaries: Summaries;

  constructor(events: EventStore, summaries: Summaries) {
    this.#events = events;
    this.#summaries = summaries;
  }

  /** A room that the client does not know: its latest events, and all of the state before them. */
  async begin(view: View, roomId: string): Promise<RoomNews> {
    const { userId, until } = view;
    const ranges = visibleRanges(await this.#events.historyOf(roomId, userId), userId, until.events);
    // Of several stretches the last one: between two of them state may have changed that the user may not see.
    const timeline = await this.#latest(view, roomId, ranges.slice(-1));
    const before = (timeline.events[0]?.position ?? until.events + 1) - 1;
    return {
      state: await this.#state(view, roomId, 0, before, [...sendersOf(timeline.events), userId]),
      timeline: timeline.events,
      limited: timeline.limited || ranges.length > 1,
      before,
      summary: await this.#summaries.of(roomId, view),
    };
  }

  /** A room that the client knows. The user was in it all the time, so he may see everything. */
  async continue(view: View, roomId: string): Promise<RoomNews> {
    const { since, until, fullState } = view;
    const after = since?.events ?? 0;
    const { events: timeline, limited } = await this.#latest(view, roomId, [[after + 1, until.events]]);
    const before = (timeline[0]?.position ?? until.events + 1) - 1;
    const from = fullState ? 0 : limited ? after : before;
    const state = await this.#state(view, roomId, from, before, sendersOf(timeline));
    const changed = timeline.some(({ event }) => SUMMARISED.has(event.type)) || limited || fullState;
    return {
      state,
      timeline,
      limited,
      before,
      ...(changed ? { summary: await this.#summaries.of(roomId, view) } : {}),
    };
  }

  async leave(view: View, { roomId, position }: Member): Promise<RoomNews> {
    const { userId, since } = view;
    const after = since?.events ?? 0;
    const ranges = visibleRanges(await this.#events.historyOf(roomId, userId), userId, position);
    const { events: timeline, limited } = await this.#latest(
      view,
      roomId,
      within(ranges, after + 1, position).slice(-1),
    );
    const before = (timeline[0]?.position ?? position) - 1;
    const wasThere = await isJoinedAt(this.#events, roomId, userId, before);
    const from = limited || !since ? after : before;
    const state = wasThere ? await this.#state(view, roomId, from, before, sendersOf(timeline)) : [];
    return { state, timeline, limited, before };
  }

  /** @param shown who needs to be known to understand the timeline, where the client loads members only as needed */
  async #state({ userId, filter }: View, roomId: string, after: number, at: number, shown: readonly string[]) {
    const changed = after < at ? await this.#events.stateSince(roomId, userId, after, at, !filter.lazyLoadMembers) : [];
    const members = filter.lazyLoadMembers ? await this.#events.membersAt(roomId, userId, shown, at) : [];
    return [...changed, ...members].filter(({ event }) => filter.state.passes(event, roomId));
  }

  async #latest({ userId, filter }: View, roomId: string, ranges: readonly Range[]) {
    const limit = Math.min(filter.timeline.limit ?? TIMELINE_LIMIT, MAX_TIMELINE_LIMIT);
    const { events, more } = await filteredPage(this.#events, {
      roomId,
      viewer: userId,
      ranges,
      direction: 'backwards',
      limit,
      filter: filter.timeline,
    });
    return { events: events.toReversed(), limited: more !== undefined };
  }
}

/** Whether there is anything in it for the client. */
export const tellsSomething = ({ state, timeline, limited }: RoomNews) =>
  state.length > 0 || timeline.length > 0 || limited;

export function roomBody(
  { state, timeline, limited, before, summary }: RoomNews,
  { userId, deviceId, filter }: View,
  ephemeral: readonly Json[],
  accountData: readonly Json[],
): Json {
  const shown = (stored: StoredEvent) => filter.fieldsOf(syncEvent(stored, userId, deviceId));
  return {
    ...(summary ? { summary } : {}),
    timeline: { events: timeline.map(shown), limited, prev_batch: formatHistoryToken(before) },
    state: { events: state.map(shown) },
    ephemeral: { events: ephemeral },
    account_data: { events: accountData },
  };
}

export async function isJoinedAt(events: EventStore, roomId: string, userId: string, at: number): Promise<boolean> {
  return (await membershipIn(events.stateAt(roomId, userId, at), userId)) === 'join';
}

/** What a room's summary is made of. */
const SUMMARISED: ReadonlySet<string> = new Set(['m.room.member', 'm.room.name', 'm.room.canonical_alias']);

const sendersOf = (timeline: readonly StoredEvent[]) => [...new Set(timeline.map(({ event }) => event.sender))];
