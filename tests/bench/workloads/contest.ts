// The same spam check by everybody: one at a time, and with many in flight.

import type { Entry } from '../contenders/contender.ts';
import { contenders, type Name } from '../contenders/index.ts';
import { type Figures, type Seat, takeSeat } from '../contenders/seat.ts';
import { type Size, sizes } from '../events.ts';
import { type Rounds, ratio } from '../measure.ts';
import type { Findings, Goal, Plan, Row, Table } from '../workload.ts';

interface Load {
  readonly size: Size;
  readonly abreast: number;
}

type Seen = { readonly [What in keyof Figures]: number[] };

const names = Object.keys(sizes) as Size[];
const loads: readonly Load[] = [
  ...names.map((size) => ({ size, abreast: 1 })),
  ...[16, 256, 4096].map((abreast) => ({ size: '0.3 KB' as const, abreast })),
  ...names.slice(1).map((size) => ({ size, abreast: 256 })),
];
const keyOf = ({ size, abreast }: Load): string => `${size}, ${abreast}`;

/** Each contender has a process of its own, and they take turns. */
export async function contest(plan: Plan): Promise<Findings> {
  const seen = new Map<string, Map<string, Seen>>();
  const seats = new Map<string, Seat>();
  for (const { name } of contenders) {
    try {
      seats.set(name, await takeSeat(name));
    } catch (error) {
      plan.tell(`${name}: not here (${error instanceof Error ? error.message : error})`);
    }
  }
  try {
    for (const each of plan.short ? loads.slice(0, 1).concat(loads.slice(4, 6)) : loads) {
      const all = new Map<string, Seen>();
      seen.set(keyOf(each), all);
      for (let round = 0; round < plan.rounds; round++) {
        for (const { name, lone } of contenders as readonly Entry[]) {
          const seat = seats.get(name);
          if (seat === undefined || (lone && each.abreast > 1)) continue;
          const found = all.get(name) ?? { p50: [], p99: [], p999: [], perSecond: [], hostCpu: [], loopDelay: [] };
          all.set(name, found);
          const figures = await seat.measure({ ...each, ms: plan.ms });
          for (const [what, figure] of Object.entries(figures)) found[what as keyof Seen].push(figure);
        }
      }
      plan.tell(`${each.abreast} in flight, ${each.size}: ${all.size} contenders`);
    }
  } finally {
    for (const seat of seats.values()) seat.leave();
  }
  return { tables: tables(seen), goals: goals(seen) };
}

type SeenAll = ReadonlyMap<string, ReadonlyMap<string, Seen>>;

function tables(seen: SeenAll): readonly Table[] {
  const table = (id: string, title: string, unit: string, columns: readonly [string, Load, keyof Seen][]): Table => ({
    id,
    title,
    unit,
    columns: columns.map(([name]) => name),
    rows: contenders
      .map(
        ({ name }): Row => ({
          name,
          cells: columns.map(([, each, what]) => seen.get(keyOf(each))?.get(name)?.[what]),
        }),
      )
      .filter(({ cells }) => cells.some((cell) => cell !== undefined)),
  });
  const small = (abreast: number): Load => ({ size: '0.3 KB', abreast });
  return [
    table('lone', 'One call at a time, an event of 0.3 KB', 'µs', [
      ['p50', small(1), 'p50'],
      ['p99', small(1), 'p99'],
      ['p99.9', small(1), 'p999'],
    ]),
    table(
      'lone-sizes',
      'One call at a time, p50 by size',
      'µs',
      names.map((size) => [size, { size, abreast: 1 }, 'p50']),
    ),
    table('in-flight', 'Calls in flight, events of 0.3 KB', 'calls/s', [
      ['16', small(16), 'perSecond'],
      ['256', small(256), 'perSecond'],
      ['4096', small(4096), 'perSecond'],
    ]),
    table('in-flight-p99', 'The slowest percent of those', 'µs', [
      ['16', small(16), 'p99'],
      ['256', small(256), 'p99'],
      ['4096', small(4096), 'p99'],
    ]),
    table(
      'in-flight-sizes',
      '256 calls in flight, by size',
      'calls/s',
      names.map((size) => [size, { size, abreast: 256 }, 'perSecond']),
    ),
    table('host-cpu', "What a call costs the homeserver's thread", 'µs', [
      ['1 in flight', small(1), 'hostCpu'],
      ['256 in flight', small(256), 'hostCpu'],
    ]),
    table('loop-delay', 'How late its event loop is meanwhile, in the slowest percent of its turns', 'µs', [
      ['16 in flight', small(16), 'loopDelay'],
      ['256 in flight', small(256), 'loopDelay'],
    ]),
  ];
}

function goals(seen: SeenAll): readonly Goal[] {
  const figures = (abreast: number, name: Name, what: keyof Seen): Rounds =>
    seen.get(keyOf({ size: '0.3 KB', abreast }))?.get(name)?.[what] ?? [];
  const to = (abreast: number, of: Name, what: keyof Seen, other: Name): Rounds =>
    ratio(figures(abreast, of, what), figures(abreast, other, what));
  return [
    {
      what: 'one at a time, p50, to the echo over the socket',
      ratio: to(1, 'Bulkhead', 'p50', 'socket echo'),
      atMost: 1.25,
    },
    {
      what: 'one at a time, p99, to the echo over the socket',
      ratio: to(1, 'Bulkhead', 'p99', 'socket echo'),
      atMost: 1.5,
    },
    {
      what: 'threads: one at a time, p50, to `postMessage`',
      ratio: to(1, 'Bulkhead, threads', 'p50', 'postMessage'),
      atMost: 1.25,
    },
    {
      what: 'threads: one at a time, p99, to `postMessage`',
      ratio: to(1, 'Bulkhead, threads', 'p99', 'postMessage'),
      atMost: 1.5,
    },
    { what: '256 in flight, to `piscina.run`', ratio: to(256, 'Bulkhead', 'perSecond', 'Piscina'), atLeast: 2 },
    { what: '256 in flight, to Comlink', ratio: to(256, 'Bulkhead', 'perSecond', 'Comlink'), atLeast: 4 },
    { what: '256 in flight, to HTTP', ratio: to(256, 'Bulkhead', 'perSecond', 'HTTP'), atLeast: 10 },
    { what: '256 in flight, to gRPC', ratio: to(256, 'Bulkhead', 'perSecond', 'gRPC'), atLeast: 10 },
    {
      what: '256 in flight, to hand-written frames over the socket',
      ratio: to(256, 'Bulkhead', 'perSecond', 'frames, socket'),
      atLeast: 0.75,
    },
    {
      what: 'threads: 256 in flight, to `piscina.run`',
      ratio: to(256, 'Bulkhead, threads', 'perSecond', 'Piscina'),
      atLeast: 3,
    },
    {
      what: 'threads: 256 in flight, to hand-written frames over a port',
      ratio: to(256, 'Bulkhead, threads', 'perSecond', 'frames, port'),
      atLeast: 0.75,
    },
  ];
}
