// Events as servers exchange them ("persistent data units", the event format of room versions 4 to 11): placed among the
// others, hashed, signed, and named by their hash.

import { createHash } from 'node:crypto';
import { canonicalJson } from '../crypto/canonical-json.js';
import { type Signatures, type Signer, unpadded } from '../crypto/signing.js';
import { tooLarge } from '../errors.js';
import { type Content, checkDraft, type EventDraft, type RoomEvent } from './event.js';
import { redactedPdu } from './redaction.js';

/** What an event carries for servers, and clients do not see. */
export interface Envelope {
  /** The ids of the state events that allow it. */
  readonly auth_events: readonly string[];
  /** The ids of the events that it comes after. */
  readonly prev_events: readonly string[];
  /** One more than the deepest event that it comes after has. */
  readonly depth: number;
  /** Over the whole event: tells whether it was redacted. In unpadded base64. */
  readonly hashes: { readonly sha256: string };
  readonly signatures: Signatures;
  /** What else another server wrote into its event: the hash is over that, too. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

export interface Pdu extends Omit<Envelope, 'rest'> {
  readonly type: string;
  readonly room_id: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content: Content;
  readonly origin_server_ts: number;
}

/** An event with its envelope. */
export interface SignedEvent {
  readonly event: RoomEvent;
  readonly envelope: Envelope;
}

/** Where a new event stands: after which, and allowed by which. */
export interface Place {
  readonly authEvents: readonly Pick<RoomEvent, 'event_id'>[];
  readonly after: readonly Extremity[];
}

/** An event that no other comes after yet. */
export interface Extremity {
  readonly eventId: string;
  readonly depth: number;
}

/** How many events a new one may come after. */
export const MAX_PREV_EVENTS = 20;
export const MAX_EVENT_BYTES = 65_536;
const MAX_DEPTH = Number.MAX_SAFE_INTEGER;

/** @throws MatrixError when the draft breaks the limits of the event format */
export function makeEvent(draft: EventDraft, { authEvents, after }: Place, { serverName, key }: Signer): SignedEvent {
  checkDraft(draft);
  const placed = {
    type: draft.type,
    room_id: draft.room_id,
    sender: draft.sender,
    ...(draft.state_key === undefined ? {} : { state_key: draft.state_key }),
    content: draft.content,
    origin_server_ts: draft.origin_server_ts ?? Date.now(),
    auth_events: authEvents.map(({ event_id }) => event_id),
    prev_events: after.map(({ eventId }) => eventId),
    depth: Math.min(1 + Math.max(0, ...after.map(({ depth }) => depth)), MAX_DEPTH),
  };
  const hashed = { ...placed, hashes: { sha256: contentHash(placed) } };
  const essence = essenceOf(hashed);
  const pdu: Pdu = { ...hashed, signatures: { [serverName]: { [key.id]: key.sign(essence) } } };
  if (Buffer.byteLength(canonicalJson(pdu)) > MAX_EVENT_BYTES) throw tooLarge('Events may have 65536 bytes');
  return fromPdu(pdu, idOf(essence));
}

/** In unpadded base64 (server-server API, "Calculating the content hash for an event"). */
export function contentHash(pdu: object): string {
  const { hashes: _, signatures: __, unsigned: ___, ...rest } = pdu as Partial<Pdu> & { unsigned?: unknown };
  return unpadded(createHash('sha256').update(canonicalJson(rest)).digest());
}

/** The event's id (room version 4, "Event IDs"; server-server API, "Calculating the reference hash for an event"). */
export const referenceHash = (pdu: Omit<Pdu, 'signatures'>): string => idOf(essenceOf(pdu));

/** What cannot change about an event: its id is the hash of it, and the servers' signatures are over it. */
function essenceOf(pdu: Omit<Pdu, 'signatures'>): string {
  const { signatures: _, ...rest } = redactedPdu(pdu) as Partial<Pdu>;
  return canonicalJson(rest);
}

const idOf = (essence: string): string => `$${createHash('sha256').update(essence).digest('base64url')}`;

/** @param eventId its reference hash */
export function fromPdu(pdu: Pdu, eventId = referenceHash(pdu)): SignedEvent {
  const { auth_events, prev_events, depth, hashes, signatures, ...own } = pdu;
  const { type, room_id, sender, state_key, content, origin_server_ts, ...rest } = own;
  const { redacts } = content;
  return {
    event: {
      type,
      room_id,
      sender,
      ...(state_key === undefined ? {} : { state_key }),
      content,
      origin_server_ts,
      // Clients of earlier days look for it here ("Moving the redacts property").
      ...(type === 'm.room.redaction' && typeof redacts === 'string' ? { redacts } : {}),
      event_id: eventId,
    },
    envelope: {
      auth_events,
      prev_events,
      depth,
      hashes,
      signatures,
      ...(Object.keys(rest).length === 0 ? {} : { rest }),
    },
  };
}

/** The event as it goes to other servers. */
export function toPdu({ event, envelope }: SignedEvent): Pdu {
  const { event_id: _, redacts: __, ...own } = event;
  const { rest, ...placed } = envelope;
  return { ...rest, ...own, ...placed } as Pdu;
}
