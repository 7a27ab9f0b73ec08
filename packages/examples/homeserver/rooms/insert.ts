// What storing an event does to the tables besides adding a row.

import { and, desc, eq, isNull, sql } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events, forgotten, rooms } from '../db/schema.js';
import { makeSearchable, makeUnsearchable } from '../search/searchable.js';
import { membershipOf, type RoomEvent } from './event.js';
import type { SignedEvent } from './pdu.js';
import { redactedContent } from './redaction.js';
import { relationOf } from './relations.js';
import { applyResolution, type Branch, noteMissing } from './resolution.js';
import { isHidden, NOBODY, visibleTo } from './rows.js';

export interface NewEvent extends SignedEvent {
  /** The shadow-banned user who made it. */
  readonly onlyFor: string | null;
  readonly deviceId?: string | undefined;
  readonly transactionId?: string | undefined;
  /** Of an event that does not simply come after all others: what it does to the room. */
  readonly branch?: Branch;
}

/** @returns the event's position */
export async function insert(tx: Database, fresh: NewEvent): Promise<number> {
  const { event, onlyFor, branch } = fresh;
  const { state_key: stateKey } = event;
  const sameKey =
    stateKey === undefined
      ? undefined
      : and(
          eq(events.roomId, event.room_id),
          eq(events.type, event.type),
          eq(events.stateKey, stateKey),
          isNull(events.supersededAt),
        );
  const [replaced] = sameKey
    ? await tx
        .select({ eventId: events.eventId })
        .from(events)
        .where(and(sameKey, visibleTo(onlyFor ?? NOBODY)))
        .orderBy(desc(events.position))
        .limit(1)
    : [];
  const row = rowOf(fresh, replaced?.eventId);
  const { membership } = row;
  const [inserted] = await tx.insert(events).values(row).returning({ position: events.position });
  if (!inserted) throw new Error('The database did not say where it put the event');
  const { position } = inserted;
  await makeSearchable(tx, position, event);

  if (branch?.resolved) {
    await applyResolution(tx, fresh, branch.resolved, position);
  } else if (sameKey) {
    // What only one user sees ends nothing for the others.
    await tx
      .update(events)
      .set({ supersededAt: position })
      .where(
        and(sameKey, sql`${events.position} < ${position}`, onlyFor === null ? undefined : eq(events.onlyFor, onlyFor)),
      );
  }
  if (stateKey !== undefined && (membership === 'join' || membership === 'invite') && !isHidden(onlyFor)) {
    await tx.delete(forgotten).where(and(eq(forgotten.roomId, event.room_id), eq(forgotten.userId, stateKey)));
  }
  if (event.type === 'm.room.join_rules' && stateKey === '' && onlyFor === null && !branch?.resolved) {
    const isPublic = event.content.join_rule === 'public';
    await tx.update(rooms).set({ isPublic }).where(eq(rooms.roomId, event.room_id));
  }
  if (branch) await noteMissing(tx, event.room_id, event.event_id, branch.missing ?? []);
  if (event.redacts !== undefined && !branch?.powerless) await redact(tx, event, event.redacts, onlyFor);
  return position;
}

/** @param replaces the state event that this one takes the place of */
export function rowOf({ event, envelope, onlyFor, deviceId, transactionId, branch }: NewEvent, replaces?: string) {
  return {
    eventId: event.event_id,
    roomId: event.room_id,
    type: event.type,
    stateKey: event.state_key ?? null,
    sender: event.sender,
    originServerTs: event.origin_server_ts,
    content: event.content,
    membership: membershipOf(event) ?? null,
    envelope,
    stateBefore: branch?.before ?? null,
    inviteState: branch?.inviteState ?? null,
    redacts: event.redacts ?? null,
    ...relationOf(event.content),
    replaces: replaces ?? null,
    onlyFor,
    deviceId: deviceId ?? null,
    transactionId: transactionId ?? null,
  };
}

/** The content is taken out of the database: nobody reads it any more, admins included. */
async function redact(tx: Database, redaction: RoomEvent, eventId: string, onlyFor: string | null): Promise<void> {
  const [target] = await tx
    .select()
    .from(events)
    .where(and(eq(events.eventId, eventId), eq(events.roomId, redaction.room_id), isNull(events.redactedBy)));
  // What only one user sees takes nothing from the others.
  if (!target || (onlyFor !== null && target.onlyFor !== onlyFor)) return;
  await tx
    .update(events)
    .set({
      content: redactedContent(target.type, target.content),
      redactedBy: redaction.event_id,
      relatesTo: null,
      relType: null,
    })
    .where(eq(events.position, target.position));
  await makeUnsearchable(tx, target.position);
}
