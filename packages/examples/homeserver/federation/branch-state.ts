// The state of a room at any of its events. Where events were made at the same time, that is no state that the room ever had
// here: it is what held at some position, and what differs from that.

import { and, eq, gt, isNotNull, isNull, lte } from 'drizzle-orm';
import { union } from 'drizzle-orm/pg-core';
import type { Database } from '../db/database.js';
import { events, resolvedKeys } from '../db/schema.js';
import type { RoomEvent } from '../rooms/event.js';
import type { BranchedState } from '../rooms/resolution.js';
import { NOBODY } from '../rooms/rows.js';
import { keyOf, type StateKey, type StateView } from '../rooms/state.js';
import { StoredState } from '../rooms/stored-state.js';
import { Graph, type Node } from './graph.js';

const MAX_KEYS_AT_ONCE = 200;

/** The state after an event; `undefined` if this server does not know it. */
export function stateAfter({ event, position, onlyFor, before }: Node): BranchedState | undefined {
  if (before === 'unknown') return undefined;
  const { base, changes } = before ?? { base: position - 1, changes: [] };
  const { type, state_key: stateKey, event_id: eventId } = event;
  // What is rejected changes nothing, for whoever comes after it as well.
  if (stateKey === undefined || onlyFor === 'rejected') return { base, changes };
  const others = changes.filter(([otherType, otherKey]) => otherType !== type || otherKey !== stateKey);
  return { base, changes: [...others, [type, stateKey, eventId]] };
}

/** What the keys lead to in a state: event ids by `keyOf`. */
export async function valuesIn(
  db: Database,
  roomId: string,
  { base, changes }: BranchedState,
  keys: readonly StateKey[],
): Promise<ReadonlyMap<string, string>> {
  const changed = new Map(changes.map(([type, stateKey, eventId]) => [keyOf(type, stateKey), eventId]));
  const values = new Map<string, string>();
  const stored = new StoredState(db, roomId, NOBODY, base);
  const unchanged = keys.filter(([type, stateKey]) => !changed.has(keyOf(type, stateKey)));
  for (let from = 0; from < unchanged.length; from += MAX_KEYS_AT_ONCE) {
    for (const event of await stored.getAll(unchanged.slice(from, from + MAX_KEYS_AT_ONCE))) {
      values.set(keyOf(event.type, event.state_key ?? ''), event.event_id);
    }
  }
  for (const [key, eventId] of changed) if (eventId !== null) values.set(key, eventId);
  return values;
}

/** The keys in which the states of a room at two positions differ, and some in which they do not. */
export async function keysBetween(db: Database, roomId: string, a: number, b: number): Promise<readonly StateKey[]> {
  const [from, to] = a < b ? [a, b] : [b, a];
  if (from === to) return [];
  const found = await union(
    db
      .select({ type: events.type, stateKey: events.stateKey })
      .from(events)
      .where(
        and(
          eq(events.roomId, roomId),
          gt(events.position, from),
          lte(events.position, to),
          isNotNull(events.stateKey),
          isNull(events.onlyFor),
        ),
      ),
    db
      .select({ type: resolvedKeys.type, stateKey: resolvedKeys.stateKey })
      .from(resolvedKeys)
      .where(and(eq(resolvedKeys.roomId, roomId), gt(resolvedKeys.position, from), lte(resolvedKeys.position, to))),
  );
  return found.map(({ type, stateKey }) => [type, stateKey ?? ''] as const);
}

/** Such a state, as the rules and the modules look at it. */
export class BranchView implements StateView {
  readonly #graph: Graph;
  readonly #base: StoredState;
  readonly #changes: ReadonlyMap<string, string | null>;

  constructor(db: Database, roomId: string, { base, changes }: BranchedState, graph = new Graph(db)) {
    this.#graph = graph;
    this.#base = new StoredState(db, roomId, NOBODY, base);
    this.#changes = new Map(changes.map(([type, stateKey, eventId]) => [keyOf(type, stateKey), eventId]));
  }

  async get(type: string, stateKey: string): Promise<RoomEvent | undefined> {
    return (await this.getAll([[type, stateKey]]))[0];
  }

  async getAll(keys: readonly StateKey[]): Promise<readonly RoomEvent[]> {
    const unchanged = keys.filter(([type, stateKey]) => !this.#changes.has(keyOf(type, stateKey)));
    const changed = keys.map(([type, stateKey]) => this.#changes.get(keyOf(type, stateKey)));
    return [...(await this.#base.getAll(unchanged)), ...(await this.#events(changed))];
  }

  async list(type: string, limit = Number.POSITIVE_INFINITY): Promise<readonly RoomEvent[]> {
    const found: RoomEvent[] = [];
    for (const event of await this.#base.list(type)) if (!this.#isChanged(event)) found.push(event);
    for (const event of await this.#changed()) if (event.type === type) found.push(event);
    return found.slice(0, limit);
  }

  async *entries(): AsyncIterable<RoomEvent> {
    for await (const event of this.#base.entries()) if (!this.#isChanged(event)) yield event;
    yield* await this.#changed();
  }

  #isChanged = ({ type, state_key = '' }: RoomEvent): boolean => this.#changes.has(keyOf(type, state_key));

  #changed = (): Promise<readonly RoomEvent[]> => this.#events([...this.#changes.values()]);

  async #events(eventIds: readonly (string | null | undefined)[]): Promise<readonly RoomEvent[]> {
    const found = await this.#graph.getAll(eventIds.filter((eventId) => typeof eventId === 'string'));
    return [...found.values()].map(({ event }) => event);
  }
}

/** A whole state, as what it changes about the one that holds at a position. */
export async function changesAgainst(
  db: Database,
  roomId: string,
  position: number,
  state: readonly RoomEvent[],
): Promise<BranchedState> {
  const changes: [type: string, stateKey: string, eventId: string | null][] = [];
  const wanted = new Map(state.map((event) => [keyOf(event.type, event.state_key ?? ''), event]));
  for await (const held of new StoredState(db, roomId, NOBODY, position).entries()) {
    const key = keyOf(held.type, held.state_key ?? '');
    const event = wanted.get(key);
    if (event?.event_id !== held.event_id) changes.push([held.type, held.state_key ?? '', event?.event_id ?? null]);
    wanted.delete(key);
  }
  for (const { type, state_key = '', event_id } of wanted.values()) changes.push([type, state_key, event_id]);
  return { base: position, changes };
}
