// Events as values: what one must look like to be made here, and what remains of it after a redaction.

import type { EventData } from '@bulkhead/sdk/contract';
import { badJson, invalidParam, tooLarge } from '../errors.js';
import { newEventId } from '../ids.js';

/** The one room version that this server makes. */
export const ROOM_VERSION = '11';

export type Content = Readonly<Record<string, unknown>>;

/** A complete event. */
export interface RoomEvent extends EventData {
  readonly event_id: string;
}

/** What somebody wants to send. */
export interface EventDraft {
  readonly type: string;
  readonly room_id: string;
  readonly sender: string;
  readonly content: Content;
  readonly state_key?: string | undefined;
  readonly redacts?: string | undefined;
  readonly origin_server_ts?: number | undefined;
}

const MAX_EVENT_BYTES = 65_536;
const MAX_KEY_BYTES = 255;
const MAX_DEPTH = 100;

/** @throws MatrixError when the draft breaks the limits of the event format */
export function buildEvent(draft: EventDraft): RoomEvent {
  for (const key of [draft.type, draft.state_key ?? '', draft.sender]) {
    if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw tooLarge('Event types and state keys may have 255 bytes');
    if (key.includes('\0')) throw invalidParam('Event types and state keys may not contain NUL');
  }
  checkCanonical(draft.content, 0);
  const event: RoomEvent = {
    type: draft.type,
    room_id: draft.room_id,
    sender: draft.sender,
    content: draft.content,
    ...(draft.state_key === undefined ? {} : { state_key: draft.state_key }),
    ...(draft.redacts === undefined ? {} : { redacts: draft.redacts }),
    origin_server_ts: draft.origin_server_ts ?? Date.now(),
    event_id: newEventId(),
  };
  if (Buffer.byteLength(JSON.stringify(event)) > MAX_EVENT_BYTES) throw tooLarge('Events may have 65536 bytes');
  return event;
}

/** Canonical JSON knows no fractions and no integers beyond 2^53; room versions 6 and later insist on it. */
function checkCanonical(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw badJson('The content is nested too deeply');
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw badJson(`${value} is no integer within 2^53`);
  if (typeof value !== 'object' || value === null) return;
  for (const item of Object.values(value)) checkCanonical(item, depth + 1);
}

export const membershipOf = ({ type, content }: Pick<EventData, 'type' | 'content'>): string | undefined =>
  type === 'm.room.member' && typeof content.membership === 'string' ? content.membership : undefined;

/** Content keys that survive a redaction, per event type (room version 11, "Redactions"). */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  'm.room.member': ['membership', 'join_authorised_via_users_server'],
  'm.room.join_rules': ['join_rule', 'allow'],
  'm.room.power_levels': [
    'ban',
    'events',
    'events_default',
    'invite',
    'kick',
    'redact',
    'state_default',
    'users',
    'users_default',
  ],
  'm.room.history_visibility': ['history_visibility'],
  'm.room.redaction': ['redacts'],
};

export function redactedContent(type: string, content: Content): Content {
  if (type === 'm.room.create') return content;
  const kept = KEPT[type] ?? [];
  return Object.fromEntries(Object.entries(content).filter(([key]) => kept.includes(key)));
}
