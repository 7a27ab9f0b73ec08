// State resolution, version 2 (room version 2, "State resolution"): of several states of a room, one that every server comes
// to. The words are the specification's.

import { tooLarge } from '../errors.js';
import { authKeys } from '../rooms/authorisation/auth-events.js';
import { authorise } from '../rooms/authorisation/rules.js';
import type { RoomEvent } from '../rooms/event.js';
import { membershipOf } from '../rooms/event.js';
import { PowerLevels } from '../rooms/power-levels.js';
import { keyOf, type StateKey } from '../rooms/state.js';
import type { Graph, Node } from './graph.js';

/** Event ids by `keyOf`. */
export type StateSet = ReadonlyMap<string, string>;

/** Resolving takes longer than linear time, and nothing else is stored meanwhile. */
const MAX_CONFLICTED = 1000;

export interface Conflict {
  readonly graph: Graph;
  /** What the conflicted keys lead to in each of the states. */
  readonly sets: readonly StateSet[];
  /** What those keys lead to on which all the states agree. */
  unconflicted(keys: readonly StateKey[]): Promise<StateSet>;
  /** The ids of all events on which they agree. */
  allUnconflicted(): Promise<readonly string[]>;
}

/** @returns what the conflicted keys lead to; a key that is not in it leads nowhere */
export async function resolveState(conflict: Conflict): Promise<StateSet> {
  const { graph, sets } = conflict;
  const conflicted = new Set(sets.flatMap((set) => [...set.values()]));
  const fullConflicted = new Set([...conflicted, ...(await authDifference(conflict))]);
  if (fullConflicted.size > MAX_CONFLICTED) throw tooLarge('The states of the room differ too much');
  const nodes = await graph.getAll([...fullConflicted]);
  const resolved = new Partial(conflict);

  // 1. and 2.
  const power = await powerEvents(graph, nodes);
  await resolved.check(await byPower(graph, power));
  // 3. and 4.
  const others = [...nodes.values()].filter(({ event }) => !power.has(event.event_id));
  const levels = await resolved.get('m.room.power_levels', '');
  await resolved.check(await byMainline(graph, others, levels));
  // 5.
  const keys = new Set(sets.flatMap((set) => [...set.keys()]));
  return new Map([...resolved.values].filter(([key]) => keys.has(key)));
}

/** The events that are in some of the states' full auth chains and not in all of them. */
async function authDifference({ graph, sets, allUnconflicted }: Conflict): Promise<readonly string[]> {
  const chains: ReadonlyMap<string, Node>[] = [];
  for (const set of sets) chains.push(await graph.authChain([...set.values()]));
  const all = new Set(chains.flatMap((chain) => [...chain.keys()]));
  const difference = [...all].filter((eventId) => !chains.every((chain) => chain.has(eventId)));
  if (difference.length === 0) return [];
  // What allows an event on which they agree is in all of their chains.
  const shared = await graph.authChain(await allUnconflicted());
  return difference.filter((eventId) => !shared.has(eventId));
}

/** The power events of the full conflicted set, and what of the set allows them. */
async function powerEvents(graph: Graph, nodes: ReadonlyMap<string, Node>): Promise<ReadonlyMap<string, Node>> {
  const power = new Map([...nodes].filter(([, { event }]) => isPowerEvent(event)));
  for (const eventId of (await graph.authChain([...power.keys()])).keys()) {
    const node = nodes.get(eventId);
    if (node) power.set(eventId, node);
  }
  return power;
}

function isPowerEvent(event: RoomEvent): boolean {
  const { type, state_key: stateKey, sender } = event;
  if (type === 'm.room.power_levels' || type === 'm.room.join_rules') return stateKey === '';
  const membership = membershipOf(event);
  return (membership === 'leave' || membership === 'ban') && sender !== stateKey;
}

/** Reverse topological power ordering: what allows comes first, then who has more power, then what is older. */
async function byPower(graph: Graph, nodes: ReadonlyMap<string, Node>): Promise<readonly Node[]> {
  const waitsFor = new Map<string, Set<string>>();
  const power = new Map<string, number>();
  for (const [eventId, node] of nodes) {
    const chain = await graph.authChain([eventId]);
    waitsFor.set(eventId, new Set([...chain.keys()].filter((other) => nodes.has(other))));
    power.set(eventId, await powerOfSender(graph, node));
  }
  const compare = (a: Node, b: Node) =>
    (power.get(b.event.event_id) ?? 0) - (power.get(a.event.event_id) ?? 0) || byAge(a, b);
  const waiting = [...nodes.values()].sort(compare);
  const sorted: Node[] = [];
  while (waiting.length > 0) {
    const index = waiting.findIndex(({ event }) => waitsFor.get(event.event_id)?.size === 0);
    // An event's id is a hash over those that allow it, so none allows itself.
    const [next] = waiting.splice(index, 1);
    if (!next) break;
    sorted.push(next);
    for (const set of waitsFor.values()) set.delete(next.event.event_id);
  }
  return sorted;
}

async function powerOfSender(graph: Graph, { event, envelope }: Node): Promise<number> {
  const allowing = [...(await graph.getAll(envelope.auth_events)).values()].map((node) => node.event);
  const find = (type: string) => allowing.find((each) => each.type === type && each.state_key === '');
  return new PowerLevels(find('m.room.power_levels'), find('m.room.create')?.sender).user(event.sender);
}

/** Mainline ordering: by the power levels under which they were made, those furthest back first. */
async function byMainline(graph: Graph, nodes: readonly Node[], levels: string | undefined): Promise<readonly Node[]> {
  const mainline = new Map<string, number>();
  for (let at = levels; at !== undefined; at = await levelsBefore(graph, at)) mainline.set(at, mainline.size);
  const place = new Map<Node, number>();
  for (const node of nodes) {
    let at: string | undefined = node.event.event_id;
    while (at !== undefined && !mainline.has(at)) at = await levelsBefore(graph, at);
    place.set(node, (at === undefined ? undefined : mainline.get(at)) ?? mainline.size);
  }
  return [...nodes].sort((a, b) => (place.get(b) ?? 0) - (place.get(a) ?? 0) || byAge(a, b));
}

/** The power levels that an event names. */
async function levelsBefore(graph: Graph, eventId: string): Promise<string | undefined> {
  const named = (await graph.get(eventId))?.envelope.auth_events ?? [];
  const nodes = [...(await graph.getAll(named)).values()];
  return nodes.find(({ event }) => event.type === 'm.room.power_levels' && event.state_key === '')?.event.event_id;
}

const byAge = ({ event: a }: Node, { event: b }: Node): number =>
  a.origin_server_ts - b.origin_server_ts || (a.event_id < b.event_id ? -1 : 1);

/** The partially resolved state: the unconflicted state at first, then what the rules let in ("iterative auth checks"). */
class Partial {
  readonly #conflict: Conflict;
  readonly values = new Map<string, string>();

  constructor(conflict: Conflict) {
    this.#conflict = conflict;
  }

  async get(type: string, stateKey: string): Promise<string | undefined> {
    const key = keyOf(type, stateKey);
    return this.values.get(key) ?? (await this.#conflict.unconflicted([[type, stateKey]])).get(key);
  }

  async check(nodes: readonly Node[]): Promise<void> {
    for (const node of nodes) {
      const { type, state_key: stateKey, event_id: eventId } = node.event;
      if (stateKey !== undefined && (await this.#allows(node))) this.values.set(keyOf(type, stateKey), eventId);
    }
  }

  /** By the state so far; what it lacks is taken from the event's own auth events. */
  async #allows(node: Node): Promise<boolean> {
    if (node.onlyFor === 'rejected') return false;
    const { graph, unconflicted } = this.#conflict;
    const keys = authKeys(node.event);
    const agreed = await unconflicted(keys);
    const own = await graph.getAll(node.envelope.auth_events);
    const judges: RoomEvent[] = [];
    for (const [type, stateKey] of keys) {
      const key = keyOf(type, stateKey);
      const resolved = this.values.get(key) ?? agreed.get(key);
      const named = [...own.values()].find(
        ({ event, onlyFor }) => event.type === type && event.state_key === stateKey && onlyFor !== 'rejected',
      );
      const judge = resolved === undefined ? named : await graph.get(resolved);
      if (judge) judges.push(judge.event);
    }
    return isAllowed(node, judges);
  }
}

export function isAllowed(
  { event, envelope }: Pick<Node, 'event' | 'envelope'>,
  judges: readonly RoomEvent[],
): boolean {
  try {
    authorise({ event, envelope }, judges);
    return true;
  } catch {
    return false;
  }
}
