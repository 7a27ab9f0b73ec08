// How events relate to each other (client-server API, "Relationships between events"): by what they say under
// `m.relates_to`, where it stays readable when the rest is encrypted.

import { sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { isEventId } from '../ids.js';
import type { Content } from './event.js';
import type { Page } from './paging.js';
import { record } from './power-levels.js';

export interface Relation {
  readonly relatesTo: string | null;
  readonly relType: string | null;
}

export function relationOf(content: Content): Relation {
  const { event_id: relatesTo, rel_type: relType } = record(content['m.relates_to']);
  // PostgreSQL's text has no NUL.
  const isRelation = isEventId(relatesTo) && typeof relType === 'string' && !relType.includes('\0');
  return isRelation ? { relatesTo: String(relatesTo), relType } : { relatesTo: null, relType: null };
}

/** Which events to find: those that relate to `eventId`. */
export interface RelationQuery {
  readonly eventId: string;
  readonly relType?: string | undefined;
  readonly eventType?: string | undefined;
  /** Also those that relate to it by way of others. */
  readonly recurse: boolean;
}

/** How long such a way may be; the specification recommends 3. */
export const MAX_RECURSION = 3;

/**
 * The positions of a page of related events, and of one more.
 *
 * Nothing but `relates_to` leads to them: with a room in the condition, or an order to keep, PostgreSQL may prefer to walk
 * through the room's events.
 */
export async function relatedPositions(
  db: Database,
  roomId: string,
  viewer: string,
  { eventId, relType, eventType, recurse }: RelationQuery,
  { ranges, direction, limit }: Page,
): Promise<readonly number[]> {
  const within = ranges.map(([from, to]) => sql`position between ${from} and ${to}`);
  const related = sql`(
    with recursive related as (
      select event_id, position, room_id, type, rel_type, only_for, 1 as distance
      from events where relates_to = ${eventId}
      union
      select e.event_id, e.position, e.room_id, e.type, e.rel_type, e.only_for, related.distance + 1
      from related join events e on e.relates_to = related.event_id
      where related.room_id = ${roomId} and related.distance < ${recurse ? MAX_RECURSION : 1}
    )
    select distinct position from related
    where room_id = ${roomId} and (only_for is null or only_for = ${viewer}) and (${sql.join(within, sql` or `)})
      ${relType === undefined ? sql`` : sql`and rel_type = ${relType}`}
      ${eventType === undefined ? sql`` : sql`and type = ${eventType}`}
  ) as found`;
  const found = await db
    .select({ position: sql`position`.mapWith(Number) })
    .from(related)
    .orderBy(direction === 'forwards' ? sql`position asc` : sql`position desc`)
    .limit(limit + 1);
  return found.map(({ position }) => position);
}
