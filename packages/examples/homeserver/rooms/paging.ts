// A page of a room's events: where it begins and ends, in which direction it goes, and what the next one begins with.

import { invalidParam, missingParam } from '../errors.js';
import { numberFrom } from '../http/context.js';
import { formatHistoryToken, parseHistoryToken } from '../sync/token.js';
import type { Direction, Range, StoredEvent } from './events.js';
import { within } from './history.js';

const MAX_EVENTS = 1000;
const DEFAULT_EVENTS = 10;

export interface Page {
  readonly ranges: readonly Range[];
  readonly direction: Direction;
  readonly limit: number;
  /** The position that it begins at. */
  readonly from: number;
  /** The token of that position. */
  readonly start: string;
}

/**
 * @param ranges what of the room may be seen
 * @param head the position of the latest event
 */
export function readPage(
  query: Readonly<Record<string, string | undefined>>,
  ranges: readonly Range[],
  head: number,
): Page {
  const { dir, from, to, limit } = query;
  if (dir === undefined) throw missingParam('dir');
  if (dir !== 'b' && dir !== 'f') throw invalidParam('dir is either b or f');
  const backwards = dir === 'b';
  const start = from === undefined ? (backwards ? head : 0) : parseHistoryToken(from);
  const stop = to === undefined ? (backwards ? 0 : head) : parseHistoryToken(to);
  return {
    // Tokens stand behind an event, so the lower one excludes its own.
    ranges: backwards ? within(ranges, stop + 1, start) : within(ranges, start + 1, stop),
    direction: backwards ? 'backwards' : 'forwards',
    limit: numberFrom(limit, { min: 1, max: MAX_EVENTS, fallback: DEFAULT_EVENTS }),
    from: start,
    start: from ?? formatHistoryToken(start),
  };
}

/** @param found the page's events, and one more if there is one */
export function cutPage(page: Page, found: readonly StoredEvent[]) {
  const events = found.slice(0, page.limit);
  const last = events.at(-1);
  const isLast = found.length <= page.limit || !last;
  return { events, next: isLast ? undefined : nextToken(page, last.position) };
}

/** What the next page begins with. @param last where this one ended */
export const nextToken = ({ direction }: Page, last: number): string =>
  formatHistoryToken(last - (direction === 'backwards' ? 1 : 0));
