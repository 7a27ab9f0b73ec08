// From the states after several events to one: where they agree it is that, where they do not they are resolved.

import { and, desc, eq } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { events } from '../db/schema.js';
import type { BranchedState, ResolvedKey } from '../rooms/resolution.js';
import { holdsAt, NOBODY, visibleTo } from '../rooms/rows.js';
import { keyOf, type StateKey } from '../rooms/state.js';
import { keysBetween, valuesIn } from './branch-state.js';
import type { Graph } from './graph.js';
import { resolveState, type StateSet } from './state-resolution.js';

/** @param states at least one */
export async function mergeStates(
  db: Database,
  graph: Graph,
  roomId: string,
  states: readonly BranchedState[],
): Promise<BranchedState> {
  const base = Math.max(...states.map((state) => state.base));
  const keys = await keysThatMayDiffer(db, roomId, states, base);
  const sets: StateSet[] = [];
  for (const state of states) sets.push(await valuesIn(db, roomId, state, keys));
  const [first = new Map()] = sets;
  const isConflicted = ([type, stateKey]: StateKey) =>
    sets.some((set) => set.get(keyOf(type, stateKey)) !== first.get(keyOf(type, stateKey)));
  const conflicted = new Set(keys.filter(isConflicted).map(([type, stateKey]) => keyOf(type, stateKey)));

  // Outside of the keys that may differ all agree with what held at the base, and within the others with the first.
  const agreed: BranchedState = {
    base,
    changes: keys.map(([type, stateKey]) => {
      const key = keyOf(type, stateKey);
      return [type, stateKey, conflicted.has(key) ? null : (first.get(key) ?? null)] as const;
    }),
  };
  if (conflicted.size === 0) return agreed;

  const resolved = await resolveState({
    graph,
    sets: sets.map((set) => new Map([...set].filter(([key]) => conflicted.has(key)))),
    unconflicted: (wanted) => valuesIn(db, roomId, agreed, wanted),
    allUnconflicted: () => allIn(db, roomId, agreed),
  });
  return {
    base,
    changes: agreed.changes.map(([type, stateKey, eventId]) => {
      const key = keyOf(type, stateKey);
      return [type, stateKey, conflicted.has(key) ? (resolved.get(key) ?? null) : eventId] as const;
    }),
  };
}

/** How a state differs from what holds at a position. */
export async function differences(
  db: Database,
  roomId: string,
  wanted: BranchedState,
  position: number,
): Promise<readonly ResolvedKey[]> {
  const keys = await keysThatMayDiffer(db, roomId, [wanted], position);
  const now = await valuesIn(db, roomId, { base: position, changes: [] }, keys);
  const then = await valuesIn(db, roomId, wanted, keys);
  return keys
    .filter(([type, stateKey]) => now.get(keyOf(type, stateKey)) !== then.get(keyOf(type, stateKey)))
    .map(([type, stateKey]) => ({ type, stateKey, eventId: then.get(keyOf(type, stateKey)) }));
}

async function keysThatMayDiffer(
  db: Database,
  roomId: string,
  states: readonly BranchedState[],
  base: number,
): Promise<readonly StateKey[]> {
  const keys = new Map<string, StateKey>();
  const add = ([type, stateKey]: StateKey) => keys.set(keyOf(type, stateKey), [type, stateKey]);
  const lowest = Math.min(base, ...states.map((state) => state.base));
  for (const key of await keysBetween(db, roomId, lowest, base)) add(key);
  for (const state of states) {
    // A base above the one that is wanted differs from it as well.
    if (state.base > base) for (const key of await keysBetween(db, roomId, base, state.base)) add(key);
    for (const [type, stateKey] of state.changes) add([type, stateKey]);
  }
  return [...keys.values()];
}

/** Every event of a state. */
export async function allIn(
  db: Database,
  roomId: string,
  { base, changes }: BranchedState,
): Promise<readonly string[]> {
  const found = await db
    .selectDistinctOn([events.type, events.stateKey], {
      type: events.type,
      stateKey: events.stateKey,
      eventId: events.eventId,
    })
    .from(events)
    .where(and(eq(events.roomId, roomId), holdsAt(base), visibleTo(NOBODY)))
    .orderBy(events.type, events.stateKey, desc(events.position));
  const state = new Map(found.map(({ type, stateKey, eventId }) => [keyOf(type, stateKey ?? ''), eventId]));
  for (const [type, stateKey, eventId] of changes) {
    if (eventId === null) state.delete(keyOf(type, stateKey));
    else state.set(keyOf(type, stateKey), eventId);
  }
  return [...state.values()];
}
