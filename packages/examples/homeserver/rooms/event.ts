// Events as clients and modules know them, and what one must look like to be made here.

import type { EventData } from '@bulkhead/sdk/contract';
import { badJson, invalidParam, tooLarge } from '../errors.js';
import { isEventId } from '../ids.js';

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
  readonly origin_server_ts?: number | undefined;
}

const MAX_KEY_BYTES = 255;
const MAX_DEPTH = 100;

/** @throws MatrixError when the draft breaks the limits of the event format */
export function checkDraft({ type, state_key = '', sender, content }: EventDraft): void {
  for (const key of [type, state_key, sender]) {
    if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw tooLarge('Event types and state keys may have 255 bytes');
    if (key.includes('\0') || !key.isWellFormed()) {
      throw invalidParam('Event types and state keys have neither NUL nor half of a character');
    }
  }
  checkCanonical(content, 0);
  if (type === 'm.room.redaction' && !isEventId(content.redacts)) throw badJson('content.redacts must be an event id');
}

/**
 * Canonical JSON knows no fractions and no integers beyond 2^53; room versions 6 and later insist on it. It is in UTF-8,
 * which has no lone surrogates.
 */
export function checkCanonical(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw badJson('The content is nested too deeply');
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw badJson(`${value} is no integer within 2^53`);
  if (typeof value === 'string' && !value.isWellFormed()) throw badJson('A text has half of a character in it');
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    checkCanonical(key, depth);
    checkCanonical(item, depth + 1);
  }
}

export const membershipOf = ({ type, content }: Pick<EventData, 'type' | 'content'>): string | undefined =>
  type === 'm.room.member' && typeof content.membership === 'string' ? content.membership : undefined;
