// The schema's history, on both databases: old data in the present program, and what becomes of a step that fails.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Database, type DatabasePlace, openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { migrate, migrations } from '../../packages/examples/homeserver/db/migrations.ts';
import { openPglite } from '../../packages/examples/homeserver/db/pglite.ts';
import { openPostgres } from '../../packages/examples/homeserver/db/postgres.ts';
import { bodies, Client } from './client.ts';
import { quiet, startServer } from './harness.ts';
import { createDatabase } from './postgres.ts';

/** A database as the homeserver left it when its migrations were that many. */
const OLD = { version: 1, text: await readFile(new URL('./fixtures/version-1.sql', import.meta.url), 'utf8') };
/** What stands in it. */
const WAS = {
  alice: { userId: '@alice:example.com', deviceId: '1C132BD4C0', accessToken: found(/alice (bulkhead_\S+),/) },
  bob: { userId: '@bob:example.com', deviceId: '03676E9D6C', accessToken: found(/bob (bulkhead_\S+)/) },
  since: found(/sync token: (\S+)\./),
  room: found(/room: (\S+)\./),
  file: found(/file: (\S+)/),
};

function found(pattern: RegExp): string {
  return pattern.exec(OLD.text)?.[1] as string;
}

const lastVersion = migrations.length;

for (const kind of ['PGlite', 'PostgreSQL'] as const) {
  t.test(kind, async (t) => {
    t.test('an old database keeps everything, and becomes what a new one is', async (t) => {
      const { dataDir, place, options } = await newPlace(t, kind);
      const old = await openRaw(place);
      for (const statement of OLD.text.split(/;\n/)) if (statement.trim()) await old.db.execute(statement);
      await old.close();
      await mkdir(join(dataDir, 'media'));
      await writeFile(join(dataDir, 'media', WAS.file.split('/').at(-1) as string), 'a file');

      const server = await startServer(t, options);
      const alice = new Client(server.url, WAS.alice);
      const bob = Object.assign(new Client(server.url, WAS.bob), { since: WAS.since });
      t.match(await alice.whoami(), { user_id: WAS.alice.userId, device_id: WAS.alice.deviceId });
      t.ok(await Client.login(server.url, 'bob'), 'passwords');
      t.same(await bob.profile(WAS.alice.userId), { displayname: 'Alice' });
      t.match(await bob.resolve('#kept:example.com'), { room_id: WAS.room });
      t.match((await bob.publicRooms()).chunk, [{ room_id: WAS.room, name: 'Kept', topic: 'the second' }]);
      t.equal(await (await bob.download(WAS.file)).text(), 'a file');
      const { next_batch, rooms } = await bob.sync();
      t.same(bodies(rooms.join[WAS.room]?.timeline.events), ["one\0and 'two'", undefined], 'a sync token');
      t.same(Object.keys(rooms.leave), [], 'what was forgotten');
      t.same(
        bodies((await alice.messages(WAS.room)).chunk),
        [undefined, "one\0and 'two'", 'before the token'],
        'history, without what was redacted and what a shadow-banned user wrote',
      );
      for (const [search_term, count] of [
        ['before token', 1],
        ['second', 1],
        ['unheard', 0],
      ] as const) {
        t.equal((await alice.search({ search_term })).count, count, `search for ${search_term}`);
      }
      await alice.say(WAS.room, 'life goes on');
      t.same(bodies((await bob.sync({ since: next_batch })).rooms.join[WAS.room]?.timeline.events), ['life goes on']);
      await server.close();

      const fresh = kind === 'PGlite' ? { folder: join(dataDir, 'fresh') } : { url: await createDatabase() };
      t.strictSame(await schemaOf(place), await schemaOf(fresh));
    });

    t.test('a step that fails leaves the database as it was', async (t) => {
      const { place, options } = await newPlace(t, kind);
      const { db, close } = await openDatabase(place, quiet);
      const steps = [
        ...migrations,
        ['create table new (a integer)'],
        ['alter table new add b text', 'drop table none'],
      ];
      await t.rejects(migrate(db, steps), {
        code: 'migration-failed',
        message: new RegExp(`version ${lastVersion + 2}, and is as it was: table "none" does not exist`),
      });
      t.equal(await version(db), lastVersion);
      t.same(
        (await db.execute("select 1 from pg_tables where tablename = 'new'")).rows,
        [],
        'nor did the step before it',
      );
      await migrate(db, [...migrations, ['create table new (a integer)']]);
      await migrate(db, [...migrations, ['create table new (a integer)']]);
      t.equal(await version(db), lastVersion + 1, 'each is applied once');
      await close();

      await t.rejects(startServer(t, options), {
        code: 'newer',
        message: new RegExp(`version ${lastVersion + 1}, and this program knows versions up to ${lastVersion}`),
      });
      const again = await openRaw(place);
      t.equal(await version(again.db), lastVersion + 1, 'nothing is left open, nothing is changed');
      await again.close();
    });
  });
}

t.test('two at the same time', async (t) => {
  const { db, close } = await openPostgres(await createDatabase(), quiet);
  t.teardown(close);
  const steps = [...migrations, ['create table once (a integer)', 'insert into once values (1)']];
  await Promise.all([migrate(db, steps), migrate(db, steps), migrate(db, steps)]);
  t.same((await db.execute('select a from once')).rows, [{ a: 1 }]);
});

async function newPlace(t: Test, kind: 'PGlite' | 'PostgreSQL') {
  const dataDir = t.testdir();
  if (kind === 'PGlite') return { dataDir, place: { folder: join(dataDir, 'db') }, options: { dataDir } };
  const url = await createDatabase();
  return { dataDir, place: { url }, options: { dataDir, databaseUrl: url } };
}

/** Without migrations. */
const openRaw = (place: DatabasePlace) =>
  'url' in place ? openPostgres(place.url, quiet) : openPglite(place.folder, quiet);

async function version(db: Database): Promise<number> {
  const { rows } = await db.execute<{ version: number }>('select max(version) as version from migrations');
  return rows[0]?.version as number;
}

async function schemaOf(place: DatabasePlace) {
  const { db, close } = await openDatabase(place, quiet);
  const ask = async (query: string) => (await db.execute(query)).rows;
  const schema = {
    columns: await ask(`
      select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
      where table_schema = 'public' order by table_name, column_name`),
    indexes: await ask(`select indexname, indexdef from pg_indexes where schemaname = 'public' order by indexname`),
    constraints: await ask(`
      select conrelid::regclass::text as table, conname, pg_get_constraintdef(oid) as def from pg_constraint
      where connamespace = 'public'::regnamespace order by 1, 2`),
  };
  await close();
  return schema;
}
