// The state of a room as another server tells it, with all that allows it: each event is looked at as if it had come alone.

import { setImmediate } from 'node:timers/promises';
import * as v from 'valibot';
import { badJson, forbidden, tooLarge } from '../errors.js';
import { check } from '../http/body.js';
import type { SignedEvent } from '../rooms/pdu.js';
import { keyOf } from '../rooms/state.js';
import type { Graph } from './graph.js';
import { readPdu, type UnverifiedPdu, verifyPdu } from './incoming-pdu.js';
import type { KeyRing } from './keys.js';
import { isAllowed } from './state-resolution.js';

const MAX_EVENTS = 50_000;
/** In bytes, of the answer that holds it. */
export const MAX_STATE_BYTES = 64 << 20;
const EVENTS_AT_ONCE = 50;

export interface ForeignState {
  /** One event a key. */
  readonly state: readonly SignedEvent[];
  /** What was not here before, of the state and of what allows it, in an order in which each is allowed by earlier ones. */
  readonly fresh: readonly SignedEvent[];
}

const Lists = v.object({ state: v.array(v.unknown()), auth_chain: v.array(v.unknown()) });

/** @throws MatrixError when it is no state of that room; single events that are none are left out */
export async function readForeignState(
  answer: object,
  roomId: string,
  graph: Graph,
  keys: KeyRing,
): Promise<ForeignState> {
  const { state, auth_chain: authChain } = check(Lists, answer);
  const told = await readAll(state, roomId);
  const { accepted, fresh } = await accept([...told, ...(await readAll(authChain, roomId))], graph, keys);
  const byKey = new Map<string, SignedEvent>();
  for (const { eventId } of told) {
    const signed = accepted.get(eventId);
    if (!signed) continue;
    const key = keyOf(signed.event.type, signed.event.state_key ?? '');
    if (byKey.has(key)) throw badJson('The state has two events for one key');
    byKey.set(key, signed);
  }
  if (!byKey.has(keyOf('m.room.create', ''))) throw forbidden('The state has no valid m.room.create');
  return { state: [...byKey.values()], fresh };
}

/** What allows an event. @returns those that were not here before, in such an order */
export async function readAuthChain(answer: object, roomId: string, graph: Graph, keys: KeyRing) {
  const { auth_chain: authChain } = check(v.object({ auth_chain: v.array(v.unknown()) }), answer);
  return (await accept(await readAll(authChain, roomId), graph, keys)).fresh;
}

async function accept(unverified: readonly UnverifiedPdu[], graph: Graph, keys: KeyRing) {
  const all = new Map(unverified.map((each) => [each.eventId, each]));
  const accepted = new Map<string, SignedEvent>();
  for (const node of (await graph.getAll([...all.keys()])).values()) {
    if (node.onlyFor !== 'rejected') accepted.set(node.event.event_id, node);
    all.delete(node.event.event_id);
  }
  const fresh: SignedEvent[] = [];
  // What allows an event came before it, and so is less deep.
  for (const each of [...all.values()].sort((a, b) => a.pdu.depth - b.pdu.depth)) {
    const signed = await judge(each, accepted, graph, keys);
    if (!signed) continue;
    accepted.set(signed.event.event_id, signed);
    fresh.push(signed);
    if (fresh.length % EVENTS_AT_ONCE === 0) await setImmediate();
  }
  return { accepted, fresh };
}

async function readAll(raws: readonly unknown[], roomId: string): Promise<readonly UnverifiedPdu[]> {
  if (raws.length > MAX_EVENTS) throw tooLarge('The state has too many events');
  const found: UnverifiedPdu[] = [];
  for (const [index, raw] of raws.entries()) {
    if (index % EVENTS_AT_ONCE === 0) await setImmediate();
    try {
      const unverified = readPdu(raw);
      if (unverified.pdu.room_id === roomId && unverified.pdu.state_key !== undefined) found.push(unverified);
    } catch {
      // What is no event is no part of the state.
    }
  }
  return found;
}

async function judge(
  unverified: UnverifiedPdu,
  accepted: ReadonlyMap<string, SignedEvent>,
  graph: Graph,
  keys: KeyRing,
): Promise<SignedEvent | undefined> {
  const { auth_events: named } = unverified.pdu;
  const elsewhere = await graph.getAll(named.filter((eventId) => !accepted.has(eventId)));
  const judges: SignedEvent[] = [];
  for (const eventId of named) {
    const judge = accepted.get(eventId) ?? elsewhere.get(eventId);
    if (!judge || elsewhere.get(eventId)?.onlyFor === 'rejected') return undefined;
    judges.push(judge);
  }
  const signed = await verifyPdu(unverified, keys).catch(() => undefined);
  return signed &&
    isAllowed(
      signed,
      judges.map(({ event }) => event),
    )
    ? signed
    : undefined;
}
