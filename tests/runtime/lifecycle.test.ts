// From the start of a runtime to its end, or the end of its process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  configOf,
  containments,
  event,
  eventually,
  get,
  hullsOf,
  isAlive,
  lifeOf,
  problemsOf,
  serves,
  sleep,
  start,
  tell,
} from './harness.ts';

const puppet = (id: string, more: object = {}) => ({ module: './puppet.ts#Puppet', id, ...more });
const stored = async (modules: Parameters<typeof get>[0], id: string, key: string): Promise<unknown> =>
  (await get(modules, `/_synapse/client/${id}/stored/${encodeURIComponent(key)}`)).json();

t.test('two instances of one class', async (t) => {
  const same = { module: './puppet.ts#Puppet' };
  t.match(await problemsOf(start(t, [same, same])), [{ code: 'DuplicateId', hint: /id: puppet-2/ }]);

  const modules = await start(t, [puppet('a'), puppet('b')]);
  t.not(await lifeOf(modules, 'a'), await lifeOf(modules, 'b'), 'nothing of their code is shared');
  await tell(modules, 'a', 'count', { key: 'k' });
  await tell(modules, 'a', 'count', { key: 'k' });
  await tell(modules, 'b', 'count', { key: 'k' });
  t.equal(await stored(modules, 'a', 'k'), 2, 'nor is their storage');
  t.equal(await stored(modules, 'b', 'k'), 1);
});

t.test('restart gives another life, and loses nothing', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b')]);
  const [a, b] = [await lifeOf(modules, 'a'), await lifeOf(modules, 'b')];
  await tell(modules, 'a', 'count', { key: 'k' });
  const asked = tell(modules, 'a', 'sleep', { ms: 1_000 });
  await sleep(50);
  await modules.restart('a');
  t.not(await lifeOf(modules, 'a'), a);
  t.equal(await lifeOf(modules, 'b'), b, 'the other goes on');
  t.match(await asked, { said: 'slept' }, 'the life before answers what it was asked');
  t.equal(await stored(modules, 'a', 'k'), 1, 'storage stays');
  t.match(modules.status(), [
    { id: 'a', restarts: 1, state: 'running' },
    { id: 'b', restarts: 0 },
  ]);
});

for (const containment of containments) {
  t.test(`${containment}: close lets calls under way finish`, async (t) => {
    const modules = await start(t, [puppet('a', { permissions: { users: ['read'] } })], {
      containment,
      homeserver: {
        // What a call that is being drained causes belongs to it.
        getProfile: async () => {
          await sleep(200);
          const { allowed } = await modules.spamChecker.userMayCreateRoom('@alice:example.com', {});
          return { displayname: String(allowed) };
        },
      },
    });
    await lifeOf(modules, 'a');
    const pids = hullsOf();
    const calls = [tell(modules, 'a', 'sleep', { ms: 400 }), tell(modules, 'a', 'ask')];
    const request = get(modules, '/_synapse/client/a/sleep?ms=400');
    const startedAt = performance.now();
    const closed = modules.close();
    t.match(await Promise.all(calls), [{ said: 'slept' }, { said: 'asked' }]);
    t.equal(await (await request).text(), 'slept');
    await closed;
    t.ok(performance.now() - startedAt < 4_000, 'it waits no longer than needed');
    t.same(pids.filter(isAlive), [], 'and leaves no process');

    await t.rejects(modules.spamChecker.userMayCreateRoom('@alice:example.com', {}), { code: 'Closed' });
    await t.rejects(modules.restart('a'), { code: 'Closed' });
    await t.rejects(modules.reload(), { code: 'Closed' });
    t.equal((await get(modules, '/_synapse/client/a/life')).status, 503);
    await modules.close();
    t.same(hullsOf(), []);
  });

  t.test(`${containment}: close waits no longer than it was told`, async (t) => {
    const modules = await start(t, [puppet('a'), puppet('b')], { containment });
    await lifeOf(modules, 'a');
    const pids = hullsOf();
    const hanging = tell(modules, 'a', 'hang');
    const looping = tell(modules, 'b', 'loop');
    await sleep(50);
    const startedAt = performance.now();
    await modules.close({ drainMs: 300 });
    const took = performance.now() - startedAt;
    t.ok(took >= 290 && took < 2_000, `took ${took.toFixed(0)} ms`);
    t.match(await Promise.all([hanging, looping]), [{ kind: 'stopped' }, { kind: 'stopped' }]);
    t.same(pids.filter(isAlive), []);
  });
}

t.test('close in the middle of everything', async (t) => {
  for (const act of ['restart', 'reload', 'abort'] as const) {
    const modules = await start(t, [puppet('a'), puppet('b')]);
    const acting = {
      restart: () => modules.restart('a'),
      // It has not been bundled before, so that its cell would be opened when everything is closed.
      reload: () =>
        modules.reload(configOf([{ module: '../../web/fixtures/web.ts#Web', id: 'c', config: { resources: {} } }])),
      abort: async () => process.kill(modules.status()[0]?.hullPid as number, 'SIGABRT'),
    }[act]();
    acting.catch(() => {});
    await sleep(act === 'abort' ? 30 : 0);
    await modules.close({ drainMs: 0 });
    await acting.catch(() => {});
    await sleep(500);
    t.same(hullsOf(), [], `no process after a close during ${act}`);
  }
});

t.test('storage survives the runtime', async (t) => {
  const storage = t.testdir();
  const first = await start(t, [puppet('a')], { storage });
  await tell(first, 'a', 'count', { key: 'k' });
  await first.close();
  const second = await start(t, [puppet('a')], { storage });
  await tell(second, 'a', 'count', { key: 'k' });
  t.equal(await stored(second, 'a', 'k'), 2);
});

t.test('notifications are told once, whatever happens', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b')]);
  await sleep(1_500);
  const told = modules.accountValidity.onUserRegistration('@new:example.com');
  await sleep(100);
  process.kill(modules.status()[0]?.hullPid as number, 'SIGABRT');
  const { failures } = await told;
  t.match(failures[0], { kind: 'crashed' });
  await eventually(() => serves(modules, 'a'));
  t.equal(await stored(modules, 'a', '@new:example.com'), 1);
});

t.test('a host that is killed leaves no hull, not even one that is busy', async (t) => {
  const host = spawn(
    process.execPath,
    ['--import=tsx', fileURLToPath(new URL('./fixtures/host.ts', import.meta.url)), t.testdir()],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {},
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    },
  );
  t.teardown(() => host.kill('SIGKILL'));
  const [ready] = await once(host.stdout.setEncoding('utf8'), 'data');
  t.equal(ready, 'looping\n');
  const pids = hullsOf(host.pid);
  t.ok(pids.length >= 1, `${pids.length} hulls`);
  host.kill('SIGKILL');
  await eventually(() => !pids.some(isAlive), 3_000);
  t.same(pids.filter(isAlive), []);
});

t.test('a process whose runtime is closed has nothing left to wait for', async (t) => {
  for (const containment of containments) {
    const script = fileURLToPath(new URL('./fixtures/host.ts', import.meta.url));
    const host = spawn(process.execPath, ['--import=tsx', script, t.testdir(), containment, 'close'], {
      stdio: 'inherit',
      env: {},
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    });
    t.teardown(() => host.kill('SIGKILL'));
    const [code] = await Promise.race([once(host, 'exit'), sleep(20_000).then(() => ['it never ended'])]);
    t.equal(code, 0, containment);
  }
});

t.test('what a call carries', async (t) => {
  const modules = await start(t, [puppet('a')]);
  const said = async () => {
    const outcome = await modules.spamChecker.checkEventForSpam(event('context', { to: 'a' }));
    return outcome.allowed ? {} : JSON.parse(outcome.error);
  };
  const [first, second] = [await said(), await said()];
  t.match(first, { attempt: 1, callId: String });
  t.not(first.callId, second.callId);
});
