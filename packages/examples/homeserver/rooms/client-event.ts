// Events as clients get them.

import type { Content, RoomEvent } from './event.js';
import type { StoredEvent } from './events.js';

/** @param deviceId of the client, which recognises its own events by their transaction ids */
export function clientEvent(stored: StoredEvent, userId: string, deviceId?: string): Record<string, unknown> {
  const { event, previousContent, redactedBecause, replaces, transactionId } = stored;
  const isOwn = event.sender === userId && stored.deviceId !== null && stored.deviceId === deviceId;
  return {
    ...event,
    unsigned: {
      age: Math.max(0, Date.now() - event.origin_server_ts),
      ...(isOwn && transactionId !== null ? { transaction_id: transactionId } : {}),
      ...(replaces === null ? {} : { replaces_state: replaces }),
      ...(previousContent === null ? {} : { prev_content: previousContent }),
      ...(redactedBecause === null ? {} : { redacted_because: redactedBecause }),
    },
  };
}

/** In /sync the room is known from where the event stands. */
export function syncEvent(stored: StoredEvent, userId: string, deviceId?: string): Record<string, unknown> {
  const { room_id: _, ...event } = clientEvent(stored, userId, deviceId);
  return event;
}

export interface StrippedEvent {
  readonly type: string;
  readonly state_key?: string | undefined;
  readonly sender: string;
  readonly content: Content;
}

/** The part of a room's state that says what it is. */
export const STRIPPED_STATE = [
  'm.room.create',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.name',
  'm.room.topic',
  'm.room.encryption',
];

/** What somebody gets to see who is invited or knocks, and is not in the room yet. */
export const strippedEvent = ({ type, state_key, sender, content }: RoomEvent): StrippedEvent => ({
  type,
  state_key,
  sender,
  content,
});
