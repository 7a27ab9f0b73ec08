// Which database the homeserver opens, that it has it for itself, and what it says when it cannot have it.

import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import { Client as PgClient } from 'pg';
import t from 'tap';
import { openPostgres } from '../../packages/examples/homeserver/db/postgres.ts';
import { bodies, Client } from './client.ts';
import { createFakeModules } from './fake-modules.ts';
import { quiet, startServer } from './harness.ts';
import { ask, createDatabase } from './postgres.ts';
import { main } from './program.ts';

const exec = promisify(execFile);

t.test('a server that cannot be used: where it is, what is wrong, what to do', async (t) => {
  const url = await createDatabase();
  const changed = (change: (url: URL) => void): string => {
    const other = new URL(url);
    change(other);
    return other.href;
  };
  const silent = await silentServer();
  t.teardown(silent.close);
  const cases: Record<string, readonly [url: string, code: string, message: RegExp]> = {
    'nobody listens': [
      'postgresql://me:pass-word@127.0.0.1:1/matrix',
      'unreachable',
      /^PostgreSQL at 127\.0\.0\.1:1, database matrix cannot be used: .*ECONNREFUSED.* Is the server running/,
    ],
    'nobody listens on any address of the host': [
      'postgresql://me:pass-word@localhost:1/matrix',
      'unreachable',
      /^PostgreSQL at localhost:1, .*ECONNREFUSED.* Is the server running/,
    ],
    'no such socket': [
      'postgresql://me:pass-word@localhost/matrix?host=/nowhere',
      'unreachable',
      /^PostgreSQL at \/nowhere, .*ENOENT.* Is the server running/,
    ],
    'no such host': [
      'postgresql://me:pass-word@nowhere.invalid/matrix',
      'unreachable',
      /nowhere\.invalid:5432.*name of/,
    ],
    'nobody answers': [`postgresql://me:pass-word@127.0.0.1:${silent.port}/matrix`, 'unreachable', /Nobody answers/],
    'the wrong password': [
      changed((url) => (url.password = 'pass-word')),
      'unreachable',
      /Are the user and the password/,
    ],
    'no such database': [changed((url) => (url.pathname = '/nothing')), 'unreachable', /Make it: create database/],
    'no Unicode': [
      await createDatabase("encoding 'LATIN1' locale 'C' template template0"),
      'unsuitable',
      /its encoding is LATIN1\. .*encoding 'UTF8'/,
    ],
  };
  await Promise.all(
    Object.entries(cases).map(async ([name, [databaseUrl, code, message]]) => {
      const error = await startServer(t, { databaseUrl }).then(undefined, (error: unknown) => error);
      t.match(error, { name: 'DatabaseError', code, message }, name);
      t.notMatch(String(error), 'pass-word', `${name}: no secrets`);
    }),
  );
});

t.test('the program ends with what is wrong', async (t) => {
  const env = { ...process.env, NODE_OPTIONS: '', DATABASE_URL: 'postgresql://127.0.0.1:1/matrix' };
  const run = (...args: string[]) => exec(process.execPath, [main, '--no-tour', ...args], { env });
  await t.rejects(run('--port', '0', '--data', t.testdir()), {
    code: 1,
    stderr: /^PostgreSQL at 127\.0\.0\.1:1, database matrix cannot be used: [^\n]*\n$/,
  });
  await t.rejects(run(), { code: 2, stderr: /^DATABASE_URL: .*--data/ });
});

t.test('one homeserver a database', async (t) => {
  for (const databaseUrl of [undefined, await createDatabase()]) {
    const dataDir = t.testdir();
    const options = { dataDir, ...(databaseUrl === undefined ? {} : { databaseUrl }) };
    const first = await startServer(t, options);
    await t.rejects(startServer(t, options), { code: 'in-use', message: /another homeserver is using it/ });
    await first.register('alice');
    await first.close();
    const second = await startServer(t, options);
    await Client.login(second.url, 'alice');
    await second.close();
  }
});

t.test('connections that break are replaced', async (t) => {
  const databaseUrl = await createDatabase();
  const server = await startServer(t, { databaseUrl });
  const alice = await server.register('alice');
  const room = await alice.createRoom();
  await cutConnections(databaseUrl);
  await alice.say(room, 'again').catch(() => alice.say(room, 'again'));
  t.same(bodies((await alice.messages(room)).chunk), ['again']);

  while ((await ask(databaseUrl, "select 1 from pg_locks where locktype = 'advisory'")).length === 0) await sleep(20);
  await t.rejects(startServer(t, { databaseUrl }), { code: 'in-use' }, 'the lock as well');

  await server.close();
  const open = `select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
  t.same(await ask(databaseUrl, open), [], 'none is left when it is closed');
});

t.test('transactions that cannot begin keep no connection', async (t) => {
  const databaseUrl = await createDatabase();
  const { db, close } = await openPostgres(databaseUrl, quiet);
  const transactions = (count: number) =>
    Promise.allSettled(Array.from({ length: count }, () => db.transaction((tx) => tx.execute('select 1'))));
  await transactions(10);
  // Nothing is heard of their end before they are used.
  const script = `const { Client } = await import('pg'); const client = new Client(${JSON.stringify(databaseUrl)});
    await client.connect(); await client.query(${JSON.stringify(CUT)}); await client.end();`;
  execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: import.meta.dirname,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const outcomes = await transactions(10);
  t.match(outcomes, Array(10).fill({ status: 'rejected' }));
  t.match(await transactions(20), Array(20).fill({ status: 'fulfilled' }));
  await close();
});

t.test('what a killed process was still committing is waited for', async (t) => {
  const databaseUrl = await createDatabase();
  const before = await startServer(t, { databaseUrl });
  const alice = await before.register('alice');
  const room = await alice.createRoom();
  await alice.say(room, 'one');
  await before.close();

  const killed = new PgClient(databaseUrl);
  await killed.connect();
  await killed.query('begin');
  await killed.query(`insert into events (event_id, room_id, type, sender, origin_server_ts, content)
    select '$late', room_id, type, sender, 0, '{"body":"two"}' from events where type = 'm.room.message'`);
  let started = false;
  const starting = startServer(t, { databaseUrl }).then((server) => {
    started = true;
    return server;
  });
  await sleep(1000);
  t.notOk(started);
  await killed.query('commit');
  await killed.end();
  const after = await starting;
  const again = new Client(after.url, { userId: alice.userId, accessToken: alice.accessToken as string });
  t.same(bodies((await again.sync()).rooms.join[room]?.timeline.events), ['one', 'two']);
  await after.close();
});

t.test('which one: the caller, then DATABASE_URL, then the file', async (t) => {
  const folder = t.testdir();
  const configFile = join(folder, 'homeserver.yaml');
  const [ofCaller, ofEnvironment, ofFile] = [await createDatabase(), await createDatabase(), await createDatabase()];
  const opened = async (overrides = {}) => {
    const homeserver = await createHomeserver({
      configFile,
      logger: quiet,
      modules: async () => createFakeModules(),
      ...overrides,
    });
    await homeserver.close();
    return homeserver.config.databaseUrl;
  };
  t.teardown(() => {
    delete process.env.DATABASE_URL;
  });

  await writeFile(configFile, `database: ${JSON.stringify(ofFile)}`);
  t.equal(await opened(), ofFile);
  process.env.DATABASE_URL = ofEnvironment;
  t.equal(await opened(), ofEnvironment);
  t.equal(await opened({ databaseUrl: ofCaller }), ofCaller);
  t.equal(await opened({ memory: true }), undefined, 'in memory there is no server');

  process.env.DATABASE_URL = 'mysql://127.0.0.1/matrix';
  await t.rejects(opened(), { name: 'InvalidConfig', message: /^DATABASE_URL: .*postgresql:\/\/user/ });
  delete process.env.DATABASE_URL;
  await writeFile(configFile, 'server_name: a.example\ndatabase: somewhere');
  await t.rejects(opened(), {
    name: 'InvalidConfig',
    message: /homeserver\.yaml:2:1: database: .*postgresql:\/\/user/,
  });
  await writeFile(configFile, `data: ':memory:'\ndatabase: ${JSON.stringify(ofFile)}`);
  await t.rejects(opened(), { name: 'InvalidConfig', message: /name a folder/ });
});

const CUT = `select pg_terminate_backend(pid, 5000) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`;

const cutConnections = (url: string) => ask(url, CUT);

/** Takes connections, and says nothing. */
async function silentServer() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port, close };
}
