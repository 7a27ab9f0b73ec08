// What requests take in a large room, beside a small one on the same homeserver.

import { join } from 'node:path';
import { openSigningKey } from '../../../packages/examples/homeserver/crypto/key-file.ts';
import { openDatabase } from '../../../packages/examples/homeserver/db/database.ts';
import { median, type Rounds, ratio } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';
import { type BenchClient, Connections, e } from './client.ts';
import { fillRoom, type Size } from './large-room.ts';
import { HomeserverProcess, SERVER_NAME } from './process.ts';

const SMALL = { members: 10, events: 100 };
const LARGE = { members: 10_000, events: 100_000 };
const SHORT_LARGE = { members: 100, events: 1_000 };
/** Each request so many times in a round, the rooms in turns. */
const TIMES = 10;
/** Of a room that has a thousand times the members and events. */
const AT_MOST = 1.5;

interface Place {
  readonly owner: BenchClient;
  readonly roomId: string;
}

const roomPath = ({ roomId }: Place) => `/rooms/${e(roomId)}`;
const messages = (place: Place, filter?: object) =>
  place.owner.ask(
    'GET',
    `${roomPath(place)}/messages?dir=b&limit=20${filter ? `&filter=${e(JSON.stringify(filter))}` : ''}`,
  );
const LAZY = JSON.stringify({ room: { state: { lazy_load_members: true } } });
const rename = (place: Place) =>
  place.owner.ask('PUT', `${roomPath(place)}/state/m.room.member/${e(place.owner.userId)}`, {
    membership: 'join',
    displayname: `${Math.random()}`,
  });

/** In this order: each sync comes after what makes it one. */
const requests: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  'send a message': ({ owner, roomId }) => owner.say(roomId, 'hello'),
  'incremental sync': ({ owner }) => owner.sync(),
  '/messages, backwards': (place) => messages(place),
  '/messages, a filter that messages pass': (place) => messages(place, { types: ['m.room.message'] }),
  '/messages, a filter that nothing passes': (place) => messages(place, { types: ['org.example.nothing'] }),
  'take a new name': rename,
  'incremental sync after that': ({ owner }) => owner.sync(),
  'initial sync, members loaded lazily': ({ owner }) => owner.ask('GET', `/sync?filter=${e(LAZY)}`),
};

export async function size(plan: Plan): Promise<Findings> {
  const large = plan.short ? SHORT_LARGE : LARGE;
  const homeserver = await HomeserverProcess.make([]);
  try {
    const places = await furnish(homeserver, { small: SMALL, large }, plan);
    return await compare(places, large, plan);
  } finally {
    await homeserver.remove();
  }
}

interface Places {
  readonly small: Place;
  readonly large: Place;
  readonly connections: Connections;
}

/** The rooms are made over HTTP, filled while the homeserver is down, and used over HTTP again. */
async function furnish(
  homeserver: HomeserverProcess,
  sizes: { readonly small: Size; readonly large: Size },
  plan: Plan,
): Promise<Places> {
  const before = new Connections(await homeserver.start());
  const owners = { small: await before.register('small'), large: await before.register('large') };
  const rooms = { small: await owners.small.createRoom(), large: await owners.large.createRoom() };
  await before.close();
  await homeserver.stop();

  const key = await openSigningKey(join(homeserver.folder, 'data', 'signing.key'));
  const { db, close } = await openDatabase(homeserver.place, console);
  for (const name of ['small', 'large'] as const) {
    plan.tell(`filling a room with ${sizes[name].events} events`);
    await fillRoom(db, { serverName: SERVER_NAME, key }, rooms[name], sizes[name]);
  }
  // What the homeserver's database does by itself sooner or later.
  await db.execute('analyze');
  await close();

  const connections = new Connections(await homeserver.start());
  const place = (name: 'small' | 'large') => ({ owner: owners[name].at(connections), roomId: rooms[name] });
  return { small: place('small'), large: place('large'), connections };
}

async function compare(
  { small, large, connections }: Places,
  { members, events }: Size,
  plan: Plan,
): Promise<Findings> {
  const found = Object.keys(requests).map((name) => ({ name, small: [] as number[], large: [] as number[] }));
  for (const { owner } of [small, large]) await owner.sync({ filter: LAZY });
  // The first round is forgotten: it finds caches empty and code uncompiled.
  for (let round = -1; round < plan.rounds; round++) {
    plan.tell(`sizes, round ${round + 1} of ${plan.rounds}`);
    const taken = new Map<string, { readonly small: number[]; readonly large: number[] }>();
    for (let time = 0; time < (plan.short ? 2 : TIMES); time++) {
      for (const [name, request] of Object.entries(requests)) {
        const ms = taken.get(name) ?? { small: [], large: [] };
        taken.set(name, ms);
        ms.small.push(await timed(() => request(small)));
        ms.large.push(await timed(() => request(large)));
      }
    }
    if (round < 0) continue;
    for (const row of found) {
      const ms = taken.get(row.name);
      row.small.push(median(ms?.small ?? []));
      row.large.push(median(ms?.large ?? []));
    }
  }
  await connections.close();
  const ratios = (row: { readonly small: Rounds; readonly large: Rounds }) => ratio(row.large, row.small);
  const name = ({ members, events }: Size) =>
    `${members.toLocaleString('en')} members, ${events.toLocaleString('en')} events`;
  return {
    tables: [
      {
        id: 'sizes',
        title: 'Requests in a small and in a large room',
        unit: 'milliseconds',
        columns: [name(SMALL), name({ members, events }), 'ratio'],
        rows: found.map((row) => ({ name: row.name, cells: [row.small, row.large, ratios(row)] })),
      },
    ],
    goals: found.map((row) => ({ what: `${row.name}, large room to small`, ratio: ratios(row), atMost: AT_MOST })),
  };
}

async function timed(request: () => Promise<unknown>): Promise<number> {
  const askedAt = performance.now();
  await request();
  return performance.now() - askedAt;
}
