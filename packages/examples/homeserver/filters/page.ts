// A page of a room's history as a filter lets it pass. A filter that fits nothing would read a whole room, so each call
// looks at so many events and no more, and says how far it came.

import type { EventStore, Range, StoredEvent } from '../rooms/events.js';
import { within } from '../rooms/history.js';
import type { EventFilter } from './filter.js';

const MAX_SCANNED = 2000;
const BATCH = 200;

export interface FilteredPage {
  /** At most as many as were asked for, in the order of the direction. */
  readonly events: readonly StoredEvent[];
  /** The last position that was looked at, when there is more behind it. */
  readonly more: number | undefined;
}

export async function filteredPage(
  store: EventStore,
  {
    roomId,
    viewer,
    ranges,
    direction,
    limit,
    filter,
  }: {
    readonly roomId: string;
    readonly viewer: string;
    readonly ranges: readonly Range[];
    readonly direction: 'forwards' | 'backwards';
    readonly limit: number;
    readonly filter: EventFilter;
  },
): Promise<FilteredPage> {
  const found: StoredEvent[] = [];
  const batch = filter.restricts ? Math.max(BATCH, limit + 1) : limit + 1;
  let rest = ranges;
  let last: number | undefined;
  for (let scanned = 0; scanned < MAX_SCANNED; scanned += batch) {
    const page = await store.page(roomId, viewer, rest, direction, batch);
    for (const stored of page) {
      if (!filter.passes(stored.event, roomId)) continue;
      // One beyond the limit shows that there is more.
      if (found.length === limit) return { events: found, more: found.at(-1)?.position ?? edge(rest, direction) };
      found.push(stored);
    }
    if (page.length < batch) return { events: found, more: undefined };
    last = page.at(-1)?.position ?? 0;
    rest = direction === 'backwards' ? within(rest, 0, last - 1) : within(rest, last + 1, Number.MAX_SAFE_INTEGER);
  }
  return { events: found, more: last };
}

/** Just outside the ranges, on the side where reading begins. */
function edge(ranges: readonly Range[], direction: 'forwards' | 'backwards'): number {
  return direction === 'backwards' ? (ranges.at(-1)?.[1] ?? 0) + 1 : (ranges[0]?.[0] ?? 1) - 1;
}
