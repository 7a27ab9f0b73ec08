// A page of a room's history as a filter lets it pass. A filter that fits nothing would read a whole room, so each call
// goes over so many events and no more, and says how far it came.

import type { Columns, Direction, EventStore, Range, StoredEvent } from '../rooms/events.js';
import type { EventFilter } from './filter.js';

const MAX_SURVEYED = 1000;

export interface FilteredPage {
  /** At most as many as were asked for, in the order of the direction. */
  readonly events: readonly StoredEvent[];
  /** The last position that was looked at, when there is more behind it. */
  readonly more: number | undefined;
}

interface Wanted {
  readonly roomId: string;
  readonly viewer: string;
  readonly ranges: readonly Range[];
  readonly direction: Direction;
  readonly limit: number;
  readonly filter: EventFilter;
}

export async function filteredPage(store: EventStore, wanted: Wanted): Promise<FilteredPage> {
  const { roomId, viewer, ranges, direction, limit, filter } = wanted;
  if (!filter.includesRoom(roomId)) return { events: [], more: undefined };
  if (!filter.restricts) return cut(wanted, await store.page(roomId, viewer, ranges, direction, limit + 1));
  const condition = (columns: Columns) => filter.condition(columns);
  const { fitting, last } = await store.survey(
    roomId,
    viewer,
    ranges,
    direction,
    Math.max(MAX_SURVEYED, limit + 1),
    condition,
  );
  const found: StoredEvent[] = [];
  // Most often that is enough. Whether there is a url in it only the event itself can tell.
  let batch = limit + 1;
  for (let read = 0; read < fitting.length && found.length <= limit; read += batch, batch *= 2) {
    const next = await store.at(fitting.slice(read, read + batch), direction);
    found.push(...next.filter(({ event }) => filter.passes(event, roomId)));
  }
  return found.length > limit ? cut(wanted, found) : { events: found, more: last };
}

/** @param found as many as are wanted, and more if there are */
function cut({ ranges, direction, limit }: Wanted, found: readonly StoredEvent[]): FilteredPage {
  const events = found.slice(0, limit);
  const more = found.length > limit ? (events.at(-1)?.position ?? edge(ranges, direction)) : undefined;
  return { events, more };
}

/** Just outside the ranges, on the side where reading begins. */
function edge(ranges: readonly Range[], direction: Direction): number {
  return direction === 'backwards' ? (ranges.at(-1)?.[1] ?? 0) + 1 : (ranges[0]?.[0] ?? 1) - 1;
}
