// How events relate to each other (client-server API, "Relationships between events"): by what they say under
// `m.relates_to`, where it stays readable when the rest is encrypted.

import { and, eq, type SQL, sql } from 'drizzle-orm';
import { events } from '../db/schema.js';
import type { Content } from './event.js';
import { record } from './power-levels.js';

export interface Relation {
  readonly relatesTo: string | null;
  readonly relType: string | null;
}

export function relationOf(content: Content): Relation {
  const { event_id: relatesTo, rel_type: relType } = record(content['m.relates_to']);
  const isRelation = typeof relatesTo === 'string' && typeof relType === 'string';
  return isRelation ? { relatesTo, relType } : { relatesTo: null, relType: null };
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

export function relating(roomId: string, { eventId, relType, eventType, recurse }: RelationQuery): SQL | undefined {
  const ofKind = and(
    relType === undefined ? undefined : eq(events.relType, relType),
    eventType === undefined ? undefined : eq(events.type, eventType),
  );
  if (!recurse) return and(eq(events.relatesTo, eventId), ofKind);
  const tree = sql`(
    with recursive related (event_id, distance) as (
      select event_id, 1 from events where relates_to = ${eventId} and room_id = ${roomId}
      union
      select e.event_id, related.distance + 1 from events e join related on e.relates_to = related.event_id
      where e.room_id = ${roomId} and related.distance < ${MAX_RECURSION}
    )
    select event_id from related
  )`;
  return and(sql`${events.eventId} in ${tree}`, ofKind);
}
