// State resolution of version 2, by histories whose outcome is known: those that Synapse tests, and one for each ordering that they
// leave untested. A history is walked as a server would walk it: wherever branches meet, their states are resolved, and every
// event names what allows it by the state before it.

import t from 'tap';
import { Graph, type Node } from '../../packages/examples/homeserver/federation/graph.ts';
import { resolveState } from '../../packages/examples/homeserver/federation/state-resolution.ts';
import { authKeys } from '../../packages/examples/homeserver/rooms/authorisation/auth-events.ts';
import { keyOf } from '../../packages/examples/homeserver/rooms/state.ts';
import type { Json } from './client.ts';

const ROOM = '!room:example.com';
const ALICE = '@alice:example.com';
const BOB = '@bob:example.com';
const CHARLIE = '@charlie:example.com';
const ZARA = '@zara:example.com';

interface Made {
  readonly id: string;
  readonly type: string;
  readonly sender: string;
  readonly stateKey?: string;
  readonly content: Json;
}

const state = (id: string, type: string, sender: string, content: Json = {}, stateKey = ''): Made => ({
  id,
  type,
  sender,
  stateKey,
  content,
});
const member = (id: string, sender: string, target: string, membership: string) =>
  state(id, 'm.room.member', sender, { membership }, target);
const levels = (id: string, sender: string, users: Json, events: Json = {}) =>
  state(id, 'm.room.power_levels', sender, { users, events });
const topic = (id: string, sender: string) => state(id, 'm.room.topic', sender, { topic: id });
const message = (id: string, sender: string): Made => ({ id, type: 'm.room.message', sender, content: {} });

/** A public room with everybody in it, in which Alice has all the power. */
const BEGINNING = [
  state('CREATE', 'm.room.create', ALICE, { room_version: '11' }),
  member('ALICE', ALICE, ALICE, 'join'),
  levels('LEVELS', ALICE, { [ALICE]: 100 }),
  state('RULES', 'm.room.join_rules', ALICE, { join_rule: 'public' }),
  member('BOB', BOB, BOB, 'join'),
  member('CHARLIE', CHARLIE, CHARLIE, 'join'),
  member('ZARA', ZARA, ZARA, 'join'),
  message('START', ZARA),
];

type State = ReadonlyMap<string, string>;

/** The events of a room, and the state after each. */
class Room {
  // Everything is in its memory: it never asks a database.
  readonly #graph = new Graph(undefined as never);
  readonly #after = new Map<string, State>();
  #made = 0;

  static async begin(): Promise<Room> {
    const room = new Room();
    let last: string[] = [];
    for (const made of BEGINNING) {
      await room.add(made, last);
      last = [made.id];
    }
    return room;
  }

  async add({ id, type, sender, stateKey, content }: Made, after: readonly string[]): Promise<void> {
    const before = await this.resolve(after.map((each) => this.#after.get(each) ?? new Map()));
    const draft = { type, room_id: ROOM, sender, content, ...(stateKey === undefined ? {} : { state_key: stateKey }) };
    const named = authKeys(draft).map(([type, stateKey]) => before.get(keyOf(type, stateKey)));
    this.#made++;
    this.#graph.add({
      event: { ...draft, event_id: id, origin_server_ts: this.#made },
      envelope: {
        prev_events: after,
        auth_events: named.filter((each) => each !== undefined),
        depth: this.#made,
        hashes: { sha256: '' },
        signatures: {},
      },
      position: this.#made,
      onlyFor: null,
      before: null,
    } satisfies Node);
    this.#after.set(id, stateKey === undefined ? before : new Map([...before, [keyOf(type, stateKey), id]]));
  }

  async resolve(states: readonly State[]): Promise<State> {
    const keys = new Set(states.flatMap((each) => [...each.keys()]));
    const agreed = new Map<string, string>();
    for (const key of keys) {
      const values = new Set(states.map((each) => each.get(key)));
      const [value] = values;
      if (values.size === 1 && value !== undefined) agreed.set(key, value);
    }
    if (agreed.size === keys.size) return agreed;
    const resolved = await resolveState({
      graph: this.#graph,
      sets: states.map((each) => new Map([...each].filter(([key]) => !agreed.has(key)))),
      unconflicted: async () => agreed,
      allUnconflicted: async () => [...agreed.values()],
    });
    return new Map([...agreed, ...resolved]);
  }

  /** Of the state where branches meet: what is not as it was at the start. */
  async differsAt(ends: readonly string[]): Promise<Json> {
    const met = await this.resolve(ends.map((each) => this.#after.get(each) ?? new Map()));
    const begun = this.#after.get('START');
    const changed = [...met].filter(([key, id]) => begun?.get(key) !== id);
    const lost = [...(begun?.keys() ?? [])].filter((key) => !met.has(key));
    return Object.fromEntries([...changed, ...lost.map((key) => [key, undefined])].map(([key, id]) => [show(key), id]));
  }
}

const show = (key: string | undefined) => (key ?? '').replace('m.room.', '').replace('\0', ' ').trim();

interface Case {
  readonly name: string;
  readonly events: readonly Made[];
  /** Each from a later event to an earlier one. */
  readonly branches: readonly (readonly string[])[];
  readonly expected: Json;
}

const CASES: readonly Case[] = [
  {
    name: 'a ban stands before a change of power by the banned',
    events: [
      levels('PA', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      member('MA', ALICE, ALICE, 'join'),
      member('MB', ALICE, BOB, 'ban'),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50 }),
    ],
    branches: [
      ['END', 'MB', 'MA', 'PA', 'START'],
      ['END', 'PB', 'PA'],
    ],
    expected: { power_levels: 'PA', [`member ${ALICE}`]: 'MA', [`member ${BOB}`]: 'MB' },
  },
  {
    name: 'nobody comes in beside the event that closes the room',
    events: [
      state('JR', 'm.room.join_rules', ALICE, { join_rule: 'private' }),
      member('ME', '@ella:example.com', '@ella:example.com', 'join'),
    ],
    branches: [
      ['END', 'JR', 'START'],
      ['END', 'ME', 'START'],
    ],
    expected: { join_rules: 'JR' },
  },
  {
    name: 'power levels stand on others that only one branch has',
    events: [
      levels('PA', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50, [CHARLIE]: 50 }),
      levels('PC', CHARLIE, { [ALICE]: 100, [BOB]: 50, [CHARLIE]: 0 }),
    ],
    branches: [
      ['END', 'PC', 'PB', 'PA', 'START'],
      ['END', 'PA'],
    ],
    expected: { power_levels: 'PC' },
  },
  {
    name: 'topics go by the power levels under which they were set',
    events: [
      topic('T1', ALICE),
      levels('PA1', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      topic('T2', ALICE),
      levels('PA2', ALICE, { [ALICE]: 100, [BOB]: 0 }),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50 }),
      topic('T3', BOB),
    ],
    branches: [
      ['END', 'PA2', 'T2', 'PA1', 'T1', 'START'],
      ['END', 'T3', 'PB', 'PA1'],
    ],
    expected: { power_levels: 'PA2', topic: 'T2' },
  },
  {
    name: 'a topic of one who is banned meanwhile does not stand',
    events: [
      topic('T1', ALICE),
      levels('PA', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      topic('T2', BOB),
      member('MB', ALICE, BOB, 'ban'),
    ],
    branches: [
      ['END', 'MB', 'T2', 'PA', 'T1', 'START'],
      ['END', 'T1'],
    ],
    expected: { topic: 'T1', power_levels: 'PA', [`member ${BOB}`]: 'MB' },
  },
  {
    name: 'the later of two topics stands, under the same power levels',
    events: [
      topic('T1', ALICE),
      levels('PA1', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      topic('T2', ALICE),
      levels('PA2', ALICE, { [ALICE]: 100, [BOB]: 0 }),
      topic('T3', BOB),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50 }),
      message('MZ1', ZARA),
      topic('T4', ALICE),
    ],
    branches: [
      ['END', 'T4', 'MZ1', 'PA2', 'T2', 'PA1', 'T1', 'START'],
      ['END', 'MZ1', 'T3', 'PB', 'PA1'],
    ],
    expected: { power_levels: 'PA2', topic: 'T4' },
  },
  {
    name: 'a topic that was set under later power levels stands, though it is the older one',
    events: [
      topic('T1', ALICE),
      levels('PA1', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      topic('T2', ALICE),
      levels('PA2', ALICE, { [ALICE]: 100, [BOB]: 50, [CHARLIE]: 50 }),
      topic('T4', CHARLIE),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50 }),
      topic('T3', BOB),
    ],
    branches: [
      ['END', 'T3', 'PB', 'T2', 'PA1', 'T1', 'START'],
      ['END', 'T4', 'PA2', 'T2'],
    ],
    expected: { power_levels: 'PA2', topic: 'T4' },
  },
  {
    name: 'of two power levels made at the same time, those of whoever has more power come first',
    events: [
      levels('PA1', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      levels('PB', BOB, { [ALICE]: 100, [BOB]: 50 }, { x: 10 }),
      levels('PA2', ALICE, { [ALICE]: 100, [BOB]: 50 }, { x: 20 }),
    ],
    branches: [
      ['END', 'PB', 'PA1', 'START'],
      ['END', 'PA2', 'PA1'],
    ],
    expected: { power_levels: 'PB' },
  },
  {
    name: 'where the state is not known yet, an event is judged by what it names itself',
    events: [
      levels('PA', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      member('MC', BOB, CHARLIE, 'ban'),
      member('MB1', BOB, BOB, 'join'),
      member('MB2', BOB, BOB, 'join'),
    ],
    branches: [
      ['END', 'MB1', 'MC', 'PA', 'START'],
      ['END', 'MB2', 'PA'],
    ],
    expected: { power_levels: 'PA', [`member ${CHARLIE}`]: 'MC', [`member ${BOB}`]: 'MB2' },
  },
  {
    name: 'what allows a ban comes with it: its sender has come back before he banned',
    events: [
      levels('PA', ALICE, { [ALICE]: 100, [BOB]: 50 }),
      member('MB1', ALICE, BOB, 'leave'),
      member('MB2', BOB, BOB, 'join'),
      member('MC', BOB, CHARLIE, 'ban'),
    ],
    branches: [
      ['END', 'MC', 'MB2', 'PA', 'START'],
      ['END', 'MB1', 'PA'],
    ],
    expected: { power_levels: 'PA', [`member ${BOB}`]: 'MB2', [`member ${CHARLIE}`]: 'MC' },
  },
];

t.test('histories that fork', async (t) => {
  for (const { name, events, branches, expected } of CASES) {
    const after = new Map<string, Set<string>>();
    for (const branch of branches) {
      for (const [index, id] of branch.slice(0, -1).entries()) {
        after.set(id, new Set([...(after.get(id) ?? []), branch[index + 1] ?? '']));
      }
    }
    const room = await Room.begin();
    for (const made of inOrder(events, after)) await room.add(made, [...(after.get(made.id) ?? [])]);
    for (const ends of permutations([...(after.get('END') ?? [])])) {
      t.same(await room.differsAt(ends), expected, name);
    }
  }
});

/** Whoever comes after another is made later, and otherwise as they are listed. */
function inOrder(events: readonly Made[], after: ReadonlyMap<string, ReadonlySet<string>>): readonly Made[] {
  const made: Made[] = [];
  const waiting = [...events];
  while (waiting.length > 0) {
    const isReady = ({ id }: Made) =>
      [...(after.get(id) ?? [])].every((each) => !waiting.some(({ id }) => id === each));
    const [next] = waiting.splice(waiting.findIndex(isReady), 1);
    if (next) made.push(next);
  }
  return made;
}

const permutations = <T>([first, ...rest]: readonly T[]): (readonly T[])[] =>
  first === undefined
    ? [[]]
    : permutations(rest).flatMap((each) =>
        each
          .map((_, at) => at)
          .concat(each.length)
          .map((at) => each.toSpliced(at, 0, first)),
      );
