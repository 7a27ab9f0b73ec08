// Which events match. An index finds them by their words, in no order, and a word may be in every event there is: so it is
// asked of stretches of the order of events, from the latest on, as long as it takes to have enough.

import { and, type SQL, sql } from 'drizzle-orm';
import { anyOf } from '../db/any-of.js';
import type { Database } from '../db/database.js';
import { events, searchable } from '../db/schema.js';
import type { EventFilter } from '../filters/filter.js';
import type { Range } from '../rooms/events.js';
import { within } from '../rooms/history.js';
import { visibleTo } from '../rooms/rows.js';
import type { SearchKey } from './searchable.js';

const ENOUGH = 1000;
const MAX_STRETCH_ROWS = 2000;
const MAX_ROWS = 10_000;
const FIRST_STRETCH = 10_000;
const GROWTH = 4;

export interface Query {
  readonly term: string;
  readonly keys: readonly SearchKey[];
  readonly viewer: string;
  readonly filter: EventFilter;
  /** The rooms to search, and what of them may be seen. */
  readonly rooms: ReadonlyMap<string, readonly Range[]>;
}

export interface Match {
  readonly position: number;
  readonly roomId: string;
  readonly rank: number;
}

export interface Matches {
  /** The latest first. */
  readonly found: readonly Match[];
  /** Where to go on, when there may be more. */
  readonly until: number | undefined;
}

/** The words of a term, as the database takes them apart. */
export async function wordsOf(db: Database, term: string): Promise<readonly string[]> {
  const { rows } = await db.execute<{ words: readonly string[] }>(
    sql`select tsvector_to_array(to_tsvector('simple', ${term})) as words`,
  );
  return rows[0]?.words ?? [];
}

/** @param query whose term has at least one word @param until the last position that counts */
export async function latestMatches(db: Database, query: Query, until: number): Promise<Matches> {
  const found: Match[] = [];
  let to = until;
  let read = 0;
  let length = FIRST_STRETCH;
  while (to > 0) {
    if (found.length >= ENOUGH || read >= MAX_ROWS) return { found, until: to };
    const from = Math.max(1, to - length + 1);
    const rows = await matchesIn(db, query, from, to);
    read += rows.length;
    if (rows.length === MAX_STRETCH_ROWS && length > MAX_STRETCH_ROWS) {
      // There are more, and perhaps later ones.
      length = Math.max(MAX_STRETCH_ROWS, Math.floor(length / GROWTH));
      continue;
    }
    found.push(...rows.filter((row) => isVisible(query, row)).toSorted((a, b) => b.position - a.position));
    to = from - 1;
    length *= GROWTH;
  }
  return { found, until: undefined };
}

const isVisible = ({ rooms }: Query, { fits, roomId, position }: Row) =>
  fits && within(rooms.get(roomId) ?? [], position, position).length > 0;

interface Row extends Match {
  readonly fits: boolean;
}

/** At most MAX_STRETCH_ROWS, whether they fit or not: that is what bounds the work. */
async function matchesIn(db: Database, query: Query, from: number, to: number): Promise<readonly Row[]> {
  const { term, keys, viewer, filter, rooms } = query;
  const words = sql`plainto_tsquery('simple', ${term})`;
  const fits = and(anyOf(searchable.key, keys), visibleTo(viewer), filter.condition(events)) as SQL;
  const { rows } = await db.execute<Record<'position' | 'roomId' | 'rank', unknown> & { readonly fits: boolean }>(sql`
    with searchable as materialized (
      select position, key, ts_rank(words, ${words}) as rank from searchable
      where words @@ (${words} && ${anyRoom([...rooms.keys()])}) and position between ${from} and ${to}
      limit ${MAX_STRETCH_ROWS}
    )
    select position, room_id as "roomId", rank, ${fits} as fits from searchable join events using (position)`);
  return rows.map(({ position, roomId, rank, fits }) => ({
    position: Number(position),
    roomId: String(roomId),
    rank: Number(rank),
    fits,
  }));
}

/** A query for the room's id among the words, quoted as the type's input wants it. */
const anyRoom = (roomIds: readonly string[]): SQL =>
  sql`${roomIds.map((roomId) => `'${roomId.replace(/['\\]/g, '$&$&')}'`).join(' | ')}::tsquery`;
