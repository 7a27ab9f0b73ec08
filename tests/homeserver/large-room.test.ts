// What requests cost in a large room, by the rows that the database reads for them: as much as in a small one.

import { setTimeout as sleep } from 'node:timers/promises';
import { Hono } from 'hono';
import t from 'tap';
import { accountRoutes } from '../../packages/examples/homeserver/accounts/routes.ts';
import { loadConfig } from '../../packages/examples/homeserver/config.ts';
import { openSigningKey } from '../../packages/examples/homeserver/crypto/key-file.ts';
import { openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { EventFilter } from '../../packages/examples/homeserver/filters/filter.ts';
import { filteredPage } from '../../packages/examples/homeserver/filters/page.ts';
import { openMediaFolder } from '../../packages/examples/homeserver/media/media.ts';
import { contentHash, type Envelope, referenceHash, toPdu } from '../../packages/examples/homeserver/rooms/pdu.ts';
import { roomRoutes } from '../../packages/examples/homeserver/rooms/routes.ts';
import { buildServer, layFoundation } from '../../packages/examples/homeserver/server.ts';
import { syncRoutes } from '../../packages/examples/homeserver/sync/routes.ts';
import { fillRoom } from '../bench/homeserver/large-room.ts';
import type { Json, SyncBody } from './client.ts';
import { createFakeModules } from './fake-modules.ts';
import { quiet, SERVER_NAME } from './harness.ts';

const SMALL = { members: 10, events: 40 };
const LARGE = { members: 1000, events: 4000 };
/** What may come on top of what a small room takes: far less than a large one has members. */
const SLACK = 100;

const database = await openDatabase({ folder: undefined }, quiet);
t.teardown(() => database.close());
const { db } = database;
const mediaFolder = await openMediaFolder(undefined);
t.teardown(() => mediaFolder.close());
const config = await loadConfig(undefined, { serverName: SERVER_NAME, memory: true });
const signer = { serverName: SERVER_NAME, key: await openSigningKey(undefined) };
const e = encodeURIComponent;

/** The homeserver's parts on this database, with nothing in memory. */
async function start() {
  const foundation = await layFoundation({ config, logger: quiet, db, mediaFolder, signer });
  const server = buildServer(foundation, createFakeModules());
  t.teardown(() => server.presence.close());
  const app = new Hono();
  for (const routes of [accountRoutes, roomRoutes, syncRoutes]) app.route('', routes(server) as unknown as Hono);
  return { server, app };
}

let { server, app } = await start();

class Person {
  readonly userId: string;
  readonly #token: string;
  since = '';

  constructor({ user_id, access_token }: Json) {
    this.userId = String(user_id);
    this.#token = String(access_token);
  }

  static async register(username: string): Promise<Person> {
    const account = { username, password: 'a long secret', auth: { type: 'm.login.dummy' } };
    return new Person(await new Person({}).ask('POST', '/v3/register', account));
  }

  async ask<T = Json>(method: string, path: string, body?: Json): Promise<T> {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    const answer = await app.request(path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  async sync(query = `since=${this.since}`): Promise<SyncBody> {
    const body = await this.ask<SyncBody>('GET', `/v3/sync?${query}`);
    this.since = body.next_batch;
    return body;
  }
}

interface Place {
  readonly owner: Person;
  readonly roomId: string;
}

async function makePlace(name: string, size: typeof SMALL): Promise<Place> {
  const owner = await Person.register(name);
  const room = await owner.ask<{ room_id: string }>('POST', '/v3/createRoom', { preset: 'public_chat' });
  await fillRoom(db, signer, room.room_id, size);
  return { owner, roomId: room.room_id };
}

const small = await makePlace('small', SMALL);
const large = await makePlace('large', LARGE);
({ server, app } = await start());

const LAZY = `filter=${e(JSON.stringify({ room: { state: { lazy_load_members: true } } }))}`;
const say = ({ owner, roomId }: Place) =>
  owner.ask('PUT', `/v3/rooms/${e(roomId)}/send/m.room.message/${Math.random()}`, { msgtype: 'm.text', body: 'hello' });
const rename = ({ owner, roomId }: Place) =>
  owner.ask('PUT', `/v3/rooms/${e(roomId)}/state/m.room.member/${e(owner.userId)}`, {
    membership: 'join',
    displayname: `number ${Math.random()}`,
  });

const requests: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  'an initial sync that loads members lazily': ({ owner }) => owner.sync(LAZY),
  'a message': say,
  'the sync after it': ({ owner }) => owner.sync(),
  'the latest messages': ({ owner, roomId }) => owner.ask('GET', `/v3/rooms/${e(roomId)}/messages?dir=b&limit=20`),
  'a new name': rename,
  'the sync after that': ({ owner }) => owner.sync(),
};

/** Rows of the events table. */
async function rowsRead(request: () => Promise<unknown>): Promise<number> {
  const before = await rows();
  await request();
  return (await rows()) - before;
}

async function rows(): Promise<number> {
  await db.execute('select pg_stat_force_next_flush()');
  const { rows: found } = await db.execute<{ read: string }>(
    `select seq_tup_read + idx_tup_fetch as read from pg_stat_user_tables where relname = 'events'`,
  );
  return Number(found[0]?.read);
}

t.test('the embedded database keeps statistics of its tables, as a server does', async (t) => {
  const known = async () => {
    const { rows: found } = await db.execute<{ rows: number }>(
      `select reltuples as rows from pg_class where relname = 'events'`,
    );
    return Number(found[0]?.rows);
  };
  for (const until = Date.now() + 120_000; (await known()) < LARGE.events && Date.now() < until; ) await sleep(200);
  t.ok((await known()) >= LARGE.events);
});

t.test('a large room takes no more rows than a small one', async (t) => {
  // What is counted is kept, once.
  for (const { owner } of [small, large]) await owner.sync(LAZY);
  let counted = 0;
  for (const [name, request] of Object.entries(requests)) {
    const inSmall = await rowsRead(() => request(small));
    const inLarge = await rowsRead(() => request(large));
    const isLittle = inLarge <= inSmall + SLACK;
    t.ok(isLittle, `${name}: ${inSmall} rows in the small room, ${inLarge} in the large one`);
    counted += inSmall;
  }
  t.ok(counted > 0, 'rows are counted');
});

t.test('what modules want with every call is read once, and again when it may have changed', async (t) => {
  const { owner, roomId } = large;
  const wanted = () => server.events.state(roomId, owner.userId).list('m.room.member', 20);
  t.ok((await rowsRead(wanted)) >= 20);
  t.equal(await rowsRead(wanted), 0);
  t.equal((await wanted()).length, 20);
  await say(large);
  t.equal(await rowsRead(wanted), 0, 'a message changes no state');
  await rename(large);
  t.ok((await rowsRead(wanted)) >= 20);
});

t.test('a filter that nothing passes reads no event', async (t) => {
  const { roomId, owner } = large;
  let read = 0;
  class Counting extends EventFilter {
    override passes(...args: Parameters<EventFilter['passes']>): boolean {
      read++;
      return super.passes(...args);
    }
  }
  const pageOf = (filter: EventFilter) =>
    filteredPage(server.events, {
      roomId,
      viewer: owner.userId,
      ranges: [[1, server.events.head]],
      direction: 'backwards',
      limit: 10,
      filter,
    });
  const nothing = await pageOf(new Counting({ types: ['m.nothing', 'm.nothing.*'] }));
  t.same(nothing.events, []);
  t.ok(nothing.more, 'it says how far it came');
  t.equal(read, 0);
  t.equal((await pageOf(new Counting({ types: ['m.room.mess*'] }))).events.length, 10);
  t.ok(read <= 11, `${read} events are read for a page of 10`);
});

t.test('members are counted on, not anew', async (t) => {
  const { owner, roomId } = large;
  const counts = async () => (await owner.sync(LAZY)).rooms.join[roomId]?.summary?.['m.joined_member_count'];
  const before = await counts();
  t.equal(before, LARGE.members + 1);
  const guest = await Person.register('guest');
  const move = (how: string) => guest.ask('POST', `/v3/rooms/${e(roomId)}/${how}`, {});
  for (const [how, expected] of [
    ['join', LARGE.members + 2],
    ['leave', LARGE.members + 1],
    ['join', LARGE.members + 2],
  ] as const) {
    await move(how);
    t.equal(await counts(), expected, how);
  }
  // Several changes of the same member, and of others, at once.
  await move('leave');
  await move('join');
  await rename(large);
  await move('leave');
  t.equal(await counts(), LARGE.members + 1);
  const { joined } = await owner.ask<{ joined: Json }>('GET', `/v3/rooms/${e(roomId)}/joined_members`);
  t.equal(Object.keys(joined).length, LARGE.members + 1);
});

t.test('a filled room goes on as any other: one thing comes after the other, and each is signed', async (t) => {
  const { owner, roomId } = small;
  const stored = await server.events.page(roomId, owner.userId, [[1, server.events.head]], 'forwards', 1000);
  const { rows: found } = await db.execute<{ id: string; envelope: Envelope }>(
    `select event_id as id, envelope from events where type in ('m.room.message', 'm.room.member') order by position`,
  );
  const envelopes = new Map(found.map(({ id, envelope }) => [id, envelope]));
  const filled = stored.filter(({ event }) => envelopes.has(event.event_id)).map(({ event }) => event);
  t.ok(filled.length > SMALL.events);
  for (const [index, event] of filled.entries()) {
    const pdu = toPdu({ event, envelope: envelopes.get(event.event_id) as Envelope });
    t.equal(referenceHash(pdu), event.event_id);
    t.equal(contentHash(pdu), pdu.hashes.sha256);
    const before = filled[index - 1];
    // What createRoom made has other events in between.
    if (before && index > 2) t.same(pdu.prev_events, [before.event_id]);
  }
});
