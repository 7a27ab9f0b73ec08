// Messages a second, from the request that sends them to the /sync of another client: with five modules, beside none.

import { fileURLToPath } from 'node:url';
import type { ClientEvent, MessagesBody } from '../../homeserver/client.ts';
import { percentile, type Rounds, ratio, rest } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';
import { type BenchClient, Connections } from './client.ts';
import { HomeserverProcess } from './process.ts';

const ROOMS = [1, 10, 100];
const SHORT_ROOMS = [1, 10];
/** So many messages on their way at once. */
const ABREAST = 16;
const SYNC = { timeout: '1000', filter: JSON.stringify({ room: { timeline: { limit: 100 } } }) };

/** What the modules may cost. */
const MAX_COST = 0.2;

const policies = fileURLToPath(new URL('./modules/policies.ts', import.meta.url));
const entry = (name: string, config: object = {}) => ({
  module: `${policies}#${name}`,
  id: name.toLowerCase(),
  config,
});
export const MODULES = [
  entry('Words', { words: ['casino', 'free spins', 'seed phrase', 'double your bitcoin'] }),
  entry('Links', { hosts: ['matrix.org', 'example.com'] }),
  entry('Frozen'),
  entry('Floods', { messages: 1_000_000, seconds: 60 }),
  entry('Kinds', { msgtypes: ['m.text', 'm.notice', 'm.emote'], not_state: ['m.room.server_acl'] }),
];

/** One who sends and one who listens, in so many rooms. */
interface Pair {
  readonly sender: BenchClient;
  readonly listener: BenchClient;
  readonly rooms: readonly string[];
}

interface Turn {
  readonly perSecond: number;
  /** In milliseconds, until the sender has the answer. */
  readonly answer: number;
  /** What a message takes of the homeserver's thread, in microseconds; the sync that tells of it included. */
  readonly cpu: number;
}

export async function throughput(plan: Plan, nodeArgs: (name: string) => readonly string[]): Promise<Findings> {
  const roomCounts = plan.short ? SHORT_ROOMS : ROOMS;
  const contestants = [
    await Contestant.start('no modules', [], roomCounts, nodeArgs('no-modules')),
    await Contestant.start('five modules', MODULES, roomCounts, nodeArgs('five-modules')),
  ] as const;
  try {
    for (const contestant of contestants) {
      for (const count of roomCounts) await contestant.turn(count, plan.ms);
    }
    for (let round = 0; round < plan.rounds; round++) {
      plan.tell(`throughput, round ${round + 1} of ${plan.rounds}`);
      for (const count of roomCounts) {
        // Neither always has what the other leaves behind.
        const inTurn = round % 2 === 0 ? contestants : [...contestants].reverse();
        for (const contestant of inTurn) {
          await rest();
          contestant.note(count, await contestant.turn(count, plan.ms));
        }
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.leave();
  }
  return findings(contestants, roomCounts);
}

class Contestant {
  readonly name: string;
  readonly #homeserver: HomeserverProcess;
  readonly #connections: Connections;
  readonly #pairs: ReadonlyMap<number, Pair>;
  readonly #turns = new Map<number, Turn[]>();

  private constructor(
    name: string,
    homeserver: HomeserverProcess,
    connections: Connections,
    pairs: ReadonlyMap<number, Pair>,
  ) {
    this.name = name;
    this.#homeserver = homeserver;
    this.#connections = connections;
    this.#pairs = pairs;
  }

  static async start(
    name: string,
    modules: readonly object[],
    roomCounts: readonly number[],
    nodeArgs: readonly string[],
  ): Promise<Contestant> {
    const homeserver = await HomeserverProcess.make(modules, nodeArgs);
    const connections = new Connections(await homeserver.start());
    const pairs = new Map<number, Pair>();
    for (const count of roomCounts) pairs.set(count, await pairIn(connections, count));
    return new Contestant(name, homeserver, connections, pairs);
  }

  async turn(count: number, ms: number): Promise<Turn> {
    const before = this.#homeserver.cpuUs;
    const { answers, seconds } = await converse(this.#pairs.get(count) as Pair, ms);
    const cpu = (this.#homeserver.cpuUs - before) / answers.length;
    return { perSecond: answers.length / seconds, answer: percentile(answers, 0.5), cpu };
  }

  note(count: number, turn: Turn): void {
    this.#turns.set(count, [...this.turnsIn(count), turn]);
  }

  turnsIn = (count: number): readonly Turn[] => this.#turns.get(count) ?? [];

  async leave(): Promise<void> {
    await this.#connections.close();
    await this.#homeserver.remove();
  }
}

async function pairIn(connections: Connections, count: number): Promise<Pair> {
  const sender = await connections.register(`sender${count}`);
  const listener = await connections.register(`listener${count}`);
  const rooms: string[] = [];
  for (let room = 0; room < count; room++) {
    const roomId = await sender.createRoom();
    await listener.ask('POST', `/join/${encodeURIComponent(roomId)}`, {});
    rooms.push(roomId);
  }
  await listener.sync(SYNC);
  return { sender, listener, rooms };
}

/** The turn is over when the listener has everything that was sent in it. */
async function converse({ sender, listener, rooms }: Pair, ms: number) {
  const answers: number[] = [];
  const unseen = new Set<string>();
  const early = new Set<string>();
  const startedAt = performance.now();
  let isSending = true;
  const speak = async (first: number): Promise<void> => {
    for (let next = first; performance.now() - startedAt < ms; next += ABREAST) {
      const askedAt = performance.now();
      const eventId = await sender.say(rooms[next % rooms.length] as string, `message ${next} of a long talk`);
      answers.push(performance.now() - askedAt);
      // The sync may tell of it before its sender hears that it was sent.
      if (!early.delete(eventId)) unseen.add(eventId);
    }
  };
  const listen = async (): Promise<void> => {
    while (isSending || unseen.size > 0) {
      const before = listener.since as string;
      const { join } = (await listener.sync(SYNC)).rooms;
      for (const [roomId, { timeline }] of Object.entries(join)) {
        const missed = timeline.limited ? await missedBy(listener, roomId, timeline.prev_batch, before) : [];
        for (const { event_id } of [...missed, ...timeline.events]) if (!unseen.delete(event_id)) early.add(event_id);
      }
    }
  };
  const speaking = Promise.all(Array.from({ length: ABREAST }, (_, first) => speak(first))).finally(() => {
    isSending = false;
  });
  await Promise.all([speaking, listen()]);
  const seconds = (performance.now() - startedAt) / 1000;
  return { answers, seconds };
}

/** What a timeline leaves out is asked for, as a client does. */
async function missedBy(
  listener: BenchClient,
  roomId: string,
  from: string,
  to: string,
): Promise<readonly ClientEvent[]> {
  const query = new URLSearchParams({ dir: 'b', limit: '100', from, to });
  const path = `/rooms/${encodeURIComponent(roomId)}/messages?${query}`;
  const { chunk, end } = await listener.ask<MessagesBody>('GET', path);
  return end === undefined ? chunk : [...chunk, ...(await missedBy(listener, roomId, end, to))];
}

function findings([without, withModules]: readonly [Contestant, Contestant], roomCounts: readonly number[]): Findings {
  const of = (contestant: Contestant, count: number, what: keyof Turn): Rounds =>
    contestant.turnsIn(count).map((turn) => turn[what]);
  const shares = new Map(
    roomCounts.map((count) => [count, ratio(of(withModules, count, 'perSecond'), of(without, count, 'perSecond'))]),
  );
  return {
    tables: [
      {
        id: 'throughput',
        title: 'Messages a second, from being sent to the sync of another client',
        unit: 'rooms',
        columns: [without.name, withModules.name, 'ratio'],
        rows: roomCounts.map((count) => ({
          name: String(count),
          cells: [of(without, count, 'perSecond'), of(withModules, count, 'perSecond'), shares.get(count)],
        })),
      },
      {
        id: 'answers',
        title: `Until the sender has its answer, ${ABREAST} messages at once`,
        unit: 'rooms, milliseconds',
        columns: [without.name, withModules.name],
        rows: roomCounts.map((count) => ({
          name: String(count),
          cells: [of(without, count, 'answer'), of(withModules, count, 'answer')],
        })),
      },
      {
        id: 'cpu',
        title: 'What a message takes of the homeserver’s thread, with the sync that tells of it',
        unit: 'rooms, microseconds',
        columns: [without.name, withModules.name, 'ratio'],
        rows: roomCounts.map((count) => {
          const cells = [of(without, count, 'cpu'), of(withModules, count, 'cpu')] as const;
          return { name: String(count), cells: [...cells, ratio(cells[1], cells[0])] };
        }),
      },
    ],
    goals: [...shares].map(([count, share]) => ({
      what: `throughput with five modules, of that without, ${count} ${count === 1 ? 'room' : 'rooms'}`,
      ratio: share,
      atLeast: 1 - MAX_COST,
    })),
  };
}
