// Search for messages (client-server API, "Server Side Search"), in the rooms that a user is or was in.

import type { Database } from '../db/database.js';
import { invalidParam } from '../errors.js';
import { EventFilter } from '../filters/filter.js';
import { groupBy } from '../group.js';
import { around } from '../rooms/around.js';
import { clientEvent } from '../rooms/client-event.js';
import type { EventStore, Range, StoredEvent } from '../rooms/events.js';
import { visibleRanges } from '../rooms/history.js';
import type { Memberships } from '../rooms/memberships.js';
import { latestMatches, type Match, wordsOf } from './matches.js';
import type { SearchKey } from './searchable.js';

export interface SearchRequest {
  readonly term: string;
  readonly keys: readonly SearchKey[];
  readonly filter: EventFilter;
  readonly order: 'rank' | 'recent';
  /** Results on a page. */
  readonly limit: number;
  readonly context: ContextRequest | undefined;
  readonly groupBy: readonly GroupKey[];
  readonly includeState: boolean;
  /** The token of an earlier answer. */
  readonly from: string | undefined;
}

export interface ContextRequest {
  readonly before: number;
  readonly after: number;
  readonly includeProfile: boolean;
}

export type GroupKey = 'room_id' | 'sender';

export interface Asker {
  readonly userId: string;
  readonly deviceId?: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

interface Result extends Match {
  readonly stored: StoredEvent;
}

export class Search {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #memberships: Memberships;

  constructor(db: Database, events: EventStore, memberships: Memberships) {
    this.#db = db;
    this.#events = events;
    this.#memberships = memberships;
  }

  /**
   * The best come first among the latest 1000 or so, and then those from before.
   * @returns `room_events` of the answer
   * @throws MatrixError 400 for a token that is none
   */
  async search(asker: Asker, request: SearchRequest): Promise<Json> {
    const { term, keys, filter, order, limit } = request;
    const { until, offset } = parseToken(request.from) ?? { until: this.#events.head, offset: 0 };
    const words = await wordsOf(this.#db, term);
    const rooms = await this.#readableRooms(asker.userId, filter);
    if (words.length === 0 || rooms.size === 0) return { count: 0, highlights: words, results: [] };

    const query = { term, keys, viewer: asker.userId, filter, rooms };
    const matches = await latestMatches(this.#db, query, Math.min(until, this.#events.head));
    const sorted = order === 'recent' ? matches.found : matches.found.toSorted((a, b) => b.rank - a.rank);
    const { results, end } = await this.#page(sorted, offset, limit, filter);
    const next =
      end < sorted.length
        ? formatToken({ until, offset: end })
        : matches.until === undefined
          ? undefined
          : formatToken({ until: matches.until, offset: 0 });
    const { includeState, groupBy } = request;
    const shown: Json[] = [];
    for (const result of results) shown.push(await this.#shown(asker, result, rooms, request.context));
    return {
      count: sorted.length,
      highlights: words,
      results: shown,
      ...(groupBy.length === 0 ? {} : { groups: groupsOf(results, groupBy, next) }),
      ...(includeState ? { state: await this.#state(asker, results, rooms, filter) } : {}),
      ...(next === undefined ? {} : { next_batch: next }),
    };
  }

  async #readableRooms(userId: string, filter: EventFilter): Promise<ReadonlyMap<string, readonly Range[]>> {
    const forgotten = await this.#memberships.forgottenBy(userId);
    const roomIds = (await this.#events.membershipsOf(userId))
      .map(({ roomId }) => roomId)
      .filter((roomId) => !forgotten.has(roomId) && filter.includesRoom(roomId));
    const histories = await this.#events.historiesOf(roomIds, userId);
    const { head } = this.#events;
    return new Map(
      [...histories].flatMap(([roomId, changes]) => {
        const ranges = visibleRanges(changes, userId, head);
        return ranges.length === 0 ? [] : [[roomId, ranges] as const];
      }),
    );
  }

  /** Whether there is a url in it only the event itself can tell. @returns where it ended, too */
  async #page(sorted: readonly Match[], offset: number, limit: number, filter: EventFilter) {
    const results: Result[] = [];
    let end = offset;
    while (results.length < limit && end < sorted.length) {
      const batch = sorted.slice(end, end + limit - results.length);
      end += batch.length;
      const read = await this.#events.at(
        batch.map(({ position }) => position),
        'backwards',
      );
      const byPosition = new Map(read.map((stored) => [stored.position, stored]));
      for (const match of batch) {
        const stored = byPosition.get(match.position);
        if (stored && filter.passes(stored.event)) results.push({ ...match, stored });
      }
    }
    return { results, end };
  }

  async #shown(
    { userId, deviceId }: Asker,
    { stored, roomId, rank }: Result,
    rooms: ReadonlyMap<string, readonly Range[]>,
    context: ContextRequest | undefined,
  ): Promise<Json> {
    const shown = (each: StoredEvent) => clientEvent(each, userId, deviceId);
    if (!context) return { rank, result: shown(stored) };
    const { before, after, start, end, last } = await around(this.#events, {
      stored,
      ranges: rooms.get(roomId) ?? [],
      viewer: userId,
      limits: context,
      filter: new EventFilter(),
    });
    const senders = [...new Set([stored, ...before, ...after].map(({ event }) => event.sender))];
    const profiles = context.includeProfile ? await this.#events.membersAt(roomId, userId, senders, last) : [];
    return {
      rank,
      result: shown(stored),
      context: {
        start,
        end,
        events_before: before.map(shown),
        events_after: after.map(shown),
        ...(context.includeProfile ? { profile_info: Object.fromEntries(profiles.map(profileOf)) } : {}),
      },
    };
  }

  /** Of each room among the results, the latest state that the user may see. */
  async #state(
    { userId, deviceId }: Asker,
    results: readonly Result[],
    rooms: ReadonlyMap<string, readonly Range[]>,
    filter: EventFilter,
  ): Promise<Json> {
    const states: Record<string, unknown> = {};
    for (const [roomId, found] of groupBy(results, (result) => result.roomId)) {
      const at = rooms.get(roomId)?.at(-1)?.[1] ?? 0;
      const senders = [...new Set(found.map(({ stored }) => stored.event.sender))];
      const lazy = filter.lazyLoadMembers;
      const members = lazy ? await this.#events.membersAt(roomId, userId, senders, at) : [];
      const state = [...(await this.#events.stateSince(roomId, userId, 0, at, !lazy)), ...members];
      states[roomId] = state.map((each) => clientEvent(each, userId, deviceId));
    }
    return states;
  }
}

/** @param next the token of the next page, which has the rest of every group */
function groupsOf(results: readonly Result[], keys: readonly GroupKey[], next: string | undefined): Json {
  const groupsBy = (key: GroupKey) =>
    [...groupBy(results, ({ stored }) => stored.event[key])].map(([name, found], order) => [
      name,
      {
        order,
        results: found.map(({ stored }) => stored.event.event_id),
        ...(next === undefined ? {} : { next_batch: next }),
      },
    ]);
  return Object.fromEntries(keys.map((key) => [key, Object.fromEntries(groupsBy(key))]));
}

function profileOf({ event }: StoredEvent): [string, Json] {
  const { displayname, avatar_url } = event.content;
  return [
    event.state_key ?? '',
    {
      ...(typeof displayname === 'string' ? { displayname } : {}),
      ...(typeof avatar_url === 'string' ? { avatar_url } : {}),
    },
  ];
}

/** A place in the order of results: among those up to a position, so many were shown. */
interface Token {
  readonly until: number;
  readonly offset: number;
}

const formatToken = ({ until, offset }: Token) => `f${until}_${offset}`;

function parseToken(text: string | undefined): Token | undefined {
  if (text === undefined) return undefined;
  const [, until, offset] = /^f(\d{1,15})_(\d{1,15})$/.exec(text) ?? [];
  if (until === undefined) throw invalidParam('Unknown search token');
  return { until: Number(until), offset: Number(offset) };
}
