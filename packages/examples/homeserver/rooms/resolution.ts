// What an event from another server does to a room's state when it does not simply come after all others: which event each
// key leads to from then on was found out by state resolution, and may be an older one.

import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events, missingEvents, resolvedKeys, rooms } from '../db/schema.js';
import type { StrippedEvent } from './client-event.js';
import type { SignedEvent } from './pdu.js';

/** A state of the room: what held at a position, and what differs from that; no event at all for `null`. */
export interface BranchedState {
  readonly base: number;
  readonly changes: readonly (readonly [type: string, stateKey: string, eventId: string | null])[];
}

/** The state before an event. It is unknown of events that came without what they come after. */
export type Before = BranchedState | 'unknown';

/** A key of the state, and the event that it leads to; none if `eventId` is undefined. */
export interface ResolvedKey {
  readonly type: string;
  readonly stateKey: string;
  readonly eventId: string | undefined;
}

export interface Branch {
  /** The state before the event. Without it: what held at the position before. */
  readonly before?: Before | undefined;
  /** How the room's state differs from then on. Without it, a state event takes its place as any other. */
  readonly resolved?: readonly ResolvedKey[] | undefined;
  /** The extremities that it comes after, where those are not its `prev_events`. */
  readonly follows?: readonly string[] | undefined;
  /** What it comes after and is not here. */
  readonly missing?: readonly string[] | undefined;
  /** Stored events come after it. */
  readonly isBehind?: boolean | undefined;
  /** Of a redaction: its sender may not redact that event. */
  readonly powerless?: boolean | undefined;
  /** Of another server's event that this one takes to the rest of the room: whose it is. */
  readonly relayedFrom?: string | undefined;
  readonly inviteState?: readonly StrippedEvent[] | undefined;
}

/** @param position of the event with which it begins */
export async function applyResolution(
  tx: Database,
  { event, onlyFor }: SignedEvent & { readonly onlyFor: string | null },
  resolved: readonly ResolvedKey[],
  position: number,
): Promise<void> {
  const { room_id: roomId } = event;
  const isWinner = resolved.some(({ eventId }) => eventId === event.event_id);
  if (event.state_key !== undefined && onlyFor === null && !isWinner) {
    await tx.update(events).set({ supersededAt: position }).where(eq(events.position, position));
  }
  for (const { type, stateKey, eventId } of resolved) {
    const key = and(eq(events.roomId, roomId), eq(events.type, type), eq(events.stateKey, stateKey));
    await tx
      .update(events)
      .set({ supersededAt: position })
      .where(and(key, isNull(events.supersededAt), isNull(events.onlyFor)));
    if (eventId !== undefined) {
      // Where it overlaps with a later one, the later one holds: so it holds from here on.
      await tx.update(events).set({ supersededAt: null, onlyFor: null }).where(eq(events.eventId, eventId));
    }
    if (type === 'm.room.join_rules' && stateKey === '') await updateIsPublic(tx, roomId, eventId);
  }
  const others = resolved.filter(({ type, stateKey }) => type !== event.type || stateKey !== event.state_key);
  const rows = others.map(({ type, stateKey }) => ({ roomId, position, type, stateKey }));
  if (rows.length > 0) await tx.insert(resolvedKeys).values(rows);
}

async function updateIsPublic(tx: Database, roomId: string, eventId: string | undefined): Promise<void> {
  const isPublic = sql<boolean>`exists (select 1 from ${events}
    where ${events.eventId} = ${eventId ?? ''} and ${events.content}->>'join_rule' = 'public')`;
  await tx.update(rooms).set({ isPublic }).where(eq(rooms.roomId, roomId));
}

/** Remembers what is missing, and that what has come is not missing any more. */
export async function noteMissing(
  tx: Database,
  roomId: string,
  come: string,
  missing: readonly string[],
): Promise<void> {
  await tx.delete(missingEvents).where(and(eq(missingEvents.roomId, roomId), eq(missingEvents.eventId, come)));
  const rows = missing.map((eventId) => ({ roomId, eventId }));
  if (rows.length > 0) await tx.insert(missingEvents).values(rows).onConflictDoNothing();
}

export async function isMissing(db: Database, roomId: string, eventId: string): Promise<boolean> {
  const found = await db
    .select()
    .from(missingEvents)
    .where(and(eq(missingEvents.roomId, roomId), inArray(missingEvents.eventId, [eventId])));
  return found.length > 0;
}
