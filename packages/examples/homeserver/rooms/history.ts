// Which of a room's events a user may see (client-server API, "Room History Visibility").

import { forbidden } from '../errors.js';
import { membershipOf, type RoomEvent } from './event.js';
import type { EventStore, Range, StoredEvent } from './events.js';

type Visibility = 'world_readable' | 'shared' | 'invited' | 'joined';

/** What somebody who asks for a room's history now may see. */
export interface Readable {
  readonly ranges: readonly Range[];
  /** Where the latest state is that he may see. */
  readonly until: number;
}

/** @throws MatrixError 403 for who neither is nor was in the room, unless it is or was open to everybody */
export async function readable(events: EventStore, roomId: string, userId: string): Promise<Readable> {
  const changes = await events.historyOf(roomId, userId);
  const { head } = events;
  const until = stretches(changes, head).findLast(isOpen)?.to;
  if (until === undefined) throw forbidden('You are not in the room');
  return { ranges: visibleRanges(changes, userId, head), until };
}

/**
 * The ranges of a room that a user may see, oldest first. A position belongs to the state that holds there; where
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
  for (const stretch of stretches(changes, until)) {
    const { from, to, visibility, membership, end } = stretch;
    if (isOpen(stretch)) add(from, to);
    else if (visibility === 'shared') add(from, Math.min(to, presentUntil));
    else if (visibility === 'invited' && membership === 'invite') add(from, to);
    if (end?.type === 'm.room.member') add(to, to);
  }
  return ranges;
}

/** Positions between which neither the room's visibility changed nor the user's membership. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly visibility: Visibility;
  readonly membership: string | undefined;
  /** The change with which it ends. */
  readonly end?: RoomEvent;
}

function stretches(changes: readonly StoredEvent[], until: number): readonly Stretch[] {
  const found: Stretch[] = [];
  let begun: Omit<Stretch, 'to'> = { from: 1, visibility: 'shared', membership: undefined };
  for (const { event, position } of changes) {
    if (position > until) break;
    found.push({ ...begun, to: position, end: event });
    begun =
      event.type === 'm.room.history_visibility'
        ? { ...begun, from: position, visibility: visibilityOf(event.content.history_visibility) }
        : { ...begun, from: position, membership: membershipOf(event) };
  }
  return [...found, { ...begun, to: until }];
}

const isOpen = ({ visibility, membership }: Stretch): boolean =>
  visibility === 'world_readable' || membership === 'join';

function leftAfter(changes: readonly StoredEvent[], userId: string, position: number): number | undefined {
  if (position === 0) return undefined;
  return changes.find((change) => change.position > position && change.event.state_key === userId)?.position;
}

const isMembership = (event: RoomEvent, userId: string, membership: string) =>
  event.state_key === userId && membershipOf(event) === membership;

function visibilityOf(value: unknown): Visibility {
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
}

/** The part of the ranges that lies between two positions, both included. */
export function within(ranges: readonly Range[], from: number, to: number): readonly Range[] {
  return ranges
    .map(([start, end]): Range => [Math.max(start, from), Math.min(end, to)])
    .filter(([start, end]) => start <= end);
}
