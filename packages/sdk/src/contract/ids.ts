// Matrix identifiers, as the specification's appendix "Identifier grammar" has them: a sigil, and at most 255 bytes.

import * as v from 'valibot';

const identifier = (name: string, pattern: RegExp) =>
  v.pipe(v.string(), v.maxBytes(255), v.regex(pattern, `expected a ${name}`));

export const ServerName = v.pipe(
  v.string(),
  v.maxBytes(255),
  v.regex(/^[A-Za-z0-9.\-:[\]]+$/, 'expected a server name'),
);
export const UserId = identifier('user id such as @alice:example.org', /^@[^:\0]*:[^\0]+$/);
/** Room ids of version 12 and later carry no server name. */
export const RoomId = identifier('room id such as !opaque:example.org', /^![^\0]+$/);
export const RoomAlias = identifier('room alias such as #room:example.org', /^#[^:\0]*:[^\0]+$/);
export const EventId = identifier('event id such as $opaque', /^\$[^\0]+$/);

/** The part of an identifier after its first colon; `undefined` where there is none. */
export function serverNameOf(id: string): string | undefined {
  const colon = id.indexOf(':');
  return colon < 0 ? undefined : id.slice(colon + 1);
}
