// What a user may see around an event of a room.

import type { EventFilter } from '../filters/filter.js';
import { filteredPage } from '../filters/page.js';
import { formatHistoryToken } from '../sync/token.js';
import type { EventStore, Range, StoredEvent } from './events.js';
import { within } from './history.js';

export interface Surroundings {
  /** The nearest first, as all that follows. */
  readonly before: readonly StoredEvent[];
  readonly after: readonly StoredEvent[];
  /** Where /messages goes on, backwards and forwards. */
  readonly start: string;
  readonly end: string;
  /** The position of the last event. */
  readonly last: number;
}

interface Wanted {
  readonly stored: StoredEvent;
  /** What of the room may be seen. */
  readonly ranges: readonly Range[];
  readonly viewer: string;
  readonly limits: { readonly before: number; readonly after: number };
  readonly filter: EventFilter;
}

export async function around(
  events: EventStore,
  { stored, ranges, viewer, limits, filter }: Wanted,
): Promise<Surroundings> {
  const { position, event } = stored;
  const page = { roomId: event.room_id, viewer, filter };
  const before = await filteredPage(events, {
    ...page,
    ranges: within(ranges, 1, position - 1),
    direction: 'backwards',
    limit: limits.before,
  });
  const after = await filteredPage(events, {
    ...page,
    ranges: within(ranges, position + 1, events.head),
    direction: 'forwards',
    limit: limits.after,
  });
  const first = before.events.at(-1)?.position ?? position;
  const last = after.events.at(-1)?.position ?? position;
  return {
    before: before.events,
    after: after.events,
    start: formatHistoryToken((before.more ?? first) - 1),
    end: formatHistoryToken(after.more ?? last),
    last,
  };
}
