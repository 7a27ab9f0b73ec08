// The homeserver is killed at random moments while people use it. Whatever it told them it still knows when it is back.
// SEED=N repeats a run, as far as the machine goes along; KILLS=100 makes it a long one.

import { randomInt } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type DatabasePlace, openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { Crowd } from './crowd.ts';
import { quiet } from './harness.ts';
import { createDatabase } from './postgres.ts';
import { Program } from './program.ts';

const seed = Number(process.env.SEED ?? randomInt(2 ** 31));

const MAX_ANSWERS = 20;
const MAX_DELAY_MS = 20;
/** Until the first start, with its migrations, is done, on a machine that has nothing else to do. */
const FIRST_START_MS = 1_500;

const kills = Number(process.env.KILLS ?? 10);

// A server and its crowd wait for each other: two pairs take little longer than one.
t.jobs = 2;
for (const kind of ['PGlite', 'PostgreSQL'] as const) {
  t.test(`${kind}, killed ${kills} times, SEED=${seed}`, { timeout: 600_000, buffered: true }, async (t) => {
    const folder = t.testdir({ 'homeserver.yaml': 'server_name: example.com\nmodules: []\n' });
    const url = kind === 'PGlite' ? undefined : await createDatabase();
    const place = url === undefined ? { folder: join(folder, 'data', 'db') } : { url };
    const random = randomFrom(seed);
    const crowd = new Crowd(random);
    const server = new Program(folder, url);
    t.teardown(() => server.kill());

    let startMs = FIRST_START_MS;
    for (let kill = 1; kill <= kills; kill++) {
      // Before every fifth time, another that it does not survive until it listens.
      if (kill % 5 === 1) {
        server.start();
        await sleep(random() * startMs);
        await server.kill();
      }
      const begun = performance.now();
      const url = await server.listening();
      startMs = performance.now() - begun;
      await crowd.comeBack(url);
      t.strictSame(await crowd.forgotten(), [], `nothing is lost before kill ${kill}`);
      await crowd.use(url, 1 + Math.floor(random() * MAX_ANSWERS), async () => {
        await sleep(random() * MAX_DELAY_MS);
        await server.kill();
      });
    }

    await crowd.comeBack(await server.listening());
    t.strictSame(await crowd.forgotten(), [], 'nothing is lost in the end');
    t.strictSame(crowd.faults, [], 'no answer that should not have come');
    t.ok(
      crowd.events.size > kills,
      `${crowd.people.length} people, ${crowd.rooms.size} rooms, ${crowd.events.size} events`,
    );
    await t.rejects(openDatabase(place, quiet), { code: 'in-use' }, 'nobody else can have it meanwhile');

    await server.kill();
    await nothingHalfDone(t, place, join(folder, 'data', 'media'));
  });
}

/** Queries that find what was begun and not ended. */
const HALF_DONE: Readonly<Record<string, string>> = {
  'a room without its beginning': `
    select room_id from rooms where (
      select count(distinct type) from events where events.room_id = rooms.room_id and type in ('m.room.create',
        'm.room.member', 'm.room.power_levels', 'm.room.join_rules', 'm.room.history_visibility', 'm.room.guest_access', 'm.room.name')
    ) < 7`,
  'events of no room': 'select event_id from events where room_id not in (select room_id from rooms)',
  'an alias to no room': 'select alias from aliases where room_id not in (select room_id from rooms)',
  'a room whose name leads nowhere': `
    select content->>'alias' from events where type = 'm.room.canonical_alias' except select alias from aliases`,
  'two states at once': `
    select room_id, type, state_key from events where state_key is not null and superseded_at is null
    group by room_id, type, state_key having count(*) > 1`,
  'a state that ended, and none took its place': `
    select event_id from events old where superseded_at is not null and not exists (
      select 1 from events where position = old.superseded_at and (room_id, type, state_key) = (old.room_id, old.type, old.state_key))`,
  'a request that was done twice': `
    select transaction_id from events where transaction_id is not null
    group by sender, device_id, transaction_id having count(*) > 1`,
  'a device of nobody': 'select device_id from devices where user_id not in (select user_id from users)',
};

async function nothingHalfDone(t: Tap, place: DatabasePlace, mediaFolder: string): Promise<void> {
  const { db, close } = await openDatabase(place, quiet);
  for (const [name, query] of Object.entries(HALF_DONE)) t.strictSame((await db.execute(query)).rows, [], name);
  const { rows } = await db.execute<{ media_id: string; size: string }>('select media_id, size from media');
  for (const { media_id, size } of rows) {
    const file = await stat(join(mediaFolder, media_id)).catch(() => undefined);
    t.equal(file?.size, Number(size), `the file ${media_id}`);
  }
  await close();
}

type Tap = Pick<typeof t, 'strictSame' | 'equal'>;

/** mulberry32: numbers from 0 to 1 that a seed determines. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
