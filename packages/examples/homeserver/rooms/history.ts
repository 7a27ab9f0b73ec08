// Which of a room's events a user may see (client-server API, "Room History Visibility").

import { forbidden } from '../errors.js';
import { membershipOf } from './event.js';
import type { EventStore, Range, StoredEvent } from './events.js';

type Visibility = 'world_readable' | 'shared' | 'invited' | 'joined';

/**
 * The stretches of a room that a user may see, oldest first. A position belongs to the state that holds there; where
 * that state begins, the more open of the old and the new one decides, so that everybody sees his own leaving.
 * @param changes the room's history visibilities and the user's memberships, oldest first
 */
export function visibleRanges(changes: readonly StoredEvent[], userId: string, until: number): readonly Range[] {
  const lastJoin = changes.findLast(({ event }) => isMembership(event, userId, 'join'))?.position ?? 0;
  // 'shared' opens everything from before a time when the user was in the room, that time included.
  const presentUntil = leftAfter(changes, userId, lastJoin) ?? (lastJoin > 0 ? until : 0);

  const ranges: Range[] = [];
  const add = (from: number, to: number) => {
    if (from > to) return;
    const last = ranges.at(-1);
    if (last && last[1] >= from - 1) ranges[ranges.length - 1] = [last[0], Math.max(last[1], to)];
    else ranges.push([from, to]);
  };

  let visibility: Visibility = 'shared';
  let membership: string | undefined;
  let from = 1;
  const open = (to: number) => {
    if (visibility === 'world_readable' || membership === 'join') add(from, to);
    else if (visibility === 'shared') add(from, Math.min(to, presentUntil));
    else if (visibility === 'invited' && membership === 'invite') add(from, to);
  };
  for (const { event, position } of changes) {
    if (position > until) break;
    open(position);
    from = position;
    if (event.type === 'm.room.history_visibility') visibility = visibilityOf(event.content.history_visibility);
    else {
      membership = membershipOf(event);
      add(position, position);
    }
  }
  open(until);
  return ranges;
}

function leftAfter(changes: readonly StoredEvent[], userId: string, position: number): number | undefined {
  if (position === 0) return undefined;
  return changes.find((change) => change.position > position && change.event.state_key === userId)?.position;
}

const isMembership = (event: StoredEvent['event'], userId: string, membership: string) =>
  event.state_key === userId && membershipOf(event) === membership;

function visibilityOf(value: unknown): Visibility {
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
}

/** The ranges for a user who asks for a room's history now. @throws MatrixError 403 when there is nothing for him */
export async function readableRanges(events: EventStore, roomId: string, userId: string): Promise<readonly Range[]> {
  const ranges = visibleRanges(await events.historyOf(roomId, userId), userId, events.head);
  if (ranges.length === 0) throw forbidden('You are not in the room');
  return ranges;
}

/** The part of the ranges that lies between two positions, both included. */
export function within(ranges: readonly Range[], from: number, to: number): readonly Range[] {
  return ranges
    .map(([start, end]): Range => [Math.max(start, from), Math.min(end, to)])
    .filter(([start, end]) => start <= end);
}
