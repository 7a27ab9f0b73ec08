// Rows of the events table: who sees them, when they are part of the state, and the events that they stand for.
//
// A shadow-banned user's events carry his id in `only_for`. They are part of the room as he sees it and of nothing else,
// so every query is asked on behalf of a viewer.

import { and, eq, gt, isNotNull, isNull, lte, or } from 'drizzle-orm';
import { events } from '../db/schema.js';
import type { RoomEvent } from './event.js';

/**
 * What is kept of other servers' events and shown to nobody, in place of a viewer: what the rules forbid, what is not let
 * into the room as it stands here, and what only other events refer to.
 */
export type Hidden = 'rejected' | 'soft-failed' | 'outlier';

const HIDDEN: ReadonlySet<string | null> = new Set<Hidden>(['rejected', 'soft-failed', 'outlier']);

export const isHidden = (onlyFor: string | null): onlyFor is Hidden => HIDDEN.has(onlyFor);

/** Sees what is everybody's to see. */
export const NOBODY = '';

/** What is everybody's, and what a shadow-banned viewer made himself. */
export const visibleTo = (viewer: string) => or(isNull(events.onlyFor), eq(events.onlyFor, viewer));

export const holdsAt = (position: number) =>
  and(
    isNotNull(events.stateKey),
    lte(events.position, position),
    or(isNull(events.supersededAt), gt(events.supersededAt, position)),
  );

export function eventOf(row: typeof events.$inferSelect): RoomEvent {
  return {
    type: row.type,
    room_id: row.roomId,
    sender: row.sender,
    content: row.content,
    ...(row.stateKey === null ? {} : { state_key: row.stateKey }),
    ...(row.redacts === null ? {} : { redacts: row.redacts }),
    origin_server_ts: row.originServerTs,
    event_id: row.eventId,
  };
}
