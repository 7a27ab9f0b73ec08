// An event as bytes from elsewhere: is it one, whose is it, and is it whole ("Checks performed on receipt of a PDU", 1 to 3)?

import { EventId, RoomId, serverNameOf, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { canonicalJson } from '../crypto/canonical-json.js';
import { badJson, MatrixError, tooLarge } from '../errors.js';
import { check, JsonObject } from '../http/body.js';
import { checkCanonical, membershipOf } from '../rooms/event.js';
import { contentHash, fromPdu, MAX_EVENT_BYTES, MAX_PREV_EVENTS, type Pdu, type SignedEvent } from '../rooms/pdu.js';
import { redactedPdu } from '../rooms/redaction.js';
import type { KeyRing } from './keys.js';

const MAX_AUTH_EVENTS = 10;
const MAX_KEY_BYTES = 255;

const Key = v.pipe(
  v.string(),
  v.check((text) => Buffer.byteLength(text) <= MAX_KEY_BYTES && !text.includes('\0'), 'expected at most 255 bytes'),
);
const Integer = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const PduShape = v.looseObject({
  type: Key,
  room_id: RoomId,
  sender: UserId,
  state_key: v.optional(Key),
  content: JsonObject,
  origin_server_ts: Integer,
  auth_events: v.pipe(v.array(EventId), v.maxLength(MAX_AUTH_EVENTS)),
  prev_events: v.pipe(v.array(EventId), v.maxLength(MAX_PREV_EVENTS)),
  depth: Integer,
  hashes: v.looseObject({ sha256: v.string() }),
  signatures: v.record(v.string(), v.record(v.string(), v.string())),
});

/** Well-formed, of an allowed size, and not yet known to be anybody's. */
export interface UnverifiedPdu {
  readonly pdu: Pdu;
  readonly eventId: string;
}

/** @throws MatrixError 400 or 413 for what is no event of room version 11 */
export function readPdu(raw: unknown): UnverifiedPdu {
  // First of all: what comes next goes down as deep as the value does.
  checkCanonical(raw, 0);
  const { unsigned: _, ...whole } = check(JsonObject, raw);
  if (Buffer.byteLength(canonicalJson(whole)) > MAX_EVENT_BYTES) throw tooLarge('Events may have 65536 bytes');
  const pdu = check(PduShape, whole) as Pdu;
  if (new Set(pdu.prev_events).size !== pdu.prev_events.length) throw badJson('prev_events names an event twice');
  if (serverNameOf(pdu.sender) === undefined) throw badJson('sender is no user id');
  return { pdu, eventId: fromPdu(pdu).event.event_id };
}

/**
 * The event, if everybody has signed it who must. One whose content is not what was signed is taken as redacted.
 * @throws MatrixError 403 when a signature is missing or wrong
 */
export async function verifyPdu({ pdu, eventId }: UnverifiedPdu, keys: KeyRing): Promise<SignedEvent> {
  const essence = redactedPdu(pdu);
  for (const server of signersOf(pdu)) {
    if (await keys.isSigned(essence, server, pdu.origin_server_ts)) continue;
    throw new MatrixError(403, 'M_FORBIDDEN', `The event has no valid signature of ${server}`);
  }
  return fromPdu(isWhole(pdu) ? pdu : essence, eventId);
}

export const isWhole = (pdu: Pdu): boolean => pdu.hashes.sha256 === contentHash(pdu);

/** Its sender's server, and the one that vouches for a member of a restricted room. */
function signersOf(pdu: Pdu): ReadonlySet<string> {
  const { join_authorised_via_users_server: authoriser } = pdu.content;
  const vouches = membershipOf(pdu) === 'join' && typeof authoriser === 'string' ? [authoriser] : [];
  return new Set([pdu.sender, ...vouches].map((userId) => serverNameOf(userId) ?? ''));
}
