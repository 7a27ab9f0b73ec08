// Matrix identifiers, as the specification's appendix "Identifier grammar" has them: a sigil, and at most 255 bytes.

import * as v from 'valibot';

const encoder = new TextEncoder();

/** `v.maxBytes` without encoding what is short enough in any case, as nearly all is. */
export const atMostBytes = (limit: number) =>
  v.check<string, string>((text) => fits(text, limit), `expected at most ${limit} bytes`);

const fits = (text: string, limit: number): boolean => text.length * 3 <= limit || encoder.encode(text).length <= limit;

const MOST_BYTES = 255;

const USER_ID = /^@[^:\0]*:[^\0]+$/;
/** Room ids of version 12 and later carry no server name. */
const ROOM_ID = /^![^\0]+$/;
const EVENT_ID = /^\$[^\0]+$/;

const identifier = (name: string, pattern: RegExp) =>
  v.pipe(v.string(), atMostBytes(MOST_BYTES), v.regex(pattern, `expected a ${name}`));

export const ServerName = v.pipe(
  v.string(),
  atMostBytes(MOST_BYTES),
  v.regex(/^[A-Za-z0-9.\-:[\]]+$/, 'expected a server name'),
);
export const UserId = identifier('user id such as @alice:example.org', USER_ID);
export const RoomId = identifier('room id such as !opaque:example.org', ROOM_ID);
export const RoomAlias = identifier('room alias such as #room:example.org', /^#[^:\0]*:[^\0]+$/);
export const EventId = identifier('event id such as $opaque', EVENT_ID);

// What the schemas say, for the one place that has no time for them.
export const isShort = (value: unknown): value is string => typeof value === 'string' && fits(value, MOST_BYTES);
export const isUserId = (value: unknown): boolean => isShort(value) && USER_ID.test(value);
export const isRoomId = (value: unknown): boolean => isShort(value) && ROOM_ID.test(value);
export const isEventId = (value: unknown): boolean => isShort(value) && EVENT_ID.test(value);

/** The part of an identifier after its first colon; `undefined` where there is none. */
export function serverNameOf(id: string): string | undefined {
  const colon = id.indexOf(':');
  return colon < 0 ? undefined : id.slice(colon + 1);
}
