// A module that takes its whole process with it: V8 aborts, or a thread does not let itself be ended. The host answers
// meanwhile, the others serve again soon, and whoever did it is found.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import {
  configOf,
  event,
  eventually,
  get,
  puppet as hardy,
  hullsOf,
  jumpAhead,
  lifeOf,
  problemsOf,
  type Running,
  reborn,
  serves,
  sleep,
  start,
  tell,
  within,
} from './harness.ts';

const puppet = (id: string, more: object = {}) => hardy(id, { timeout: '8s', ...more });

const status = (modules: Running, id: string) => modules.status().find((each) => each.id === id);
const pidOf = (modules: Running, id: string) => status(modules, id)?.hullPid;

/** Until the hull that waits has a warm cell for everybody: what is measured is not the start. */
const warm = (): Promise<void> => sleep(2_000);

t.test('a heap that grows by small objects ends the cell alone', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad', { limits: { memory: '32MiB' } })]);
  const [good, bad, pid] = [await lifeOf(modules, 'good'), await lifeOf(modules, 'bad'), pidOf(modules, 'good')];
  const told = await tell(modules, 'bad', 'heap');
  t.match(told, { allowed: false, kind: 'crashed', module: 'bad' });
  t.match(told.message, /memory/, 'the message says why');
  await reborn(modules, 'bad', bad);
  t.equal(await lifeOf(modules, 'good'), good, 'the other lives on');
  t.equal(pidOf(modules, 'good'), pid, 'in the same hull');

  const again = await lifeOf(modules, 'bad');
  await tell(modules, 'bad', 'heapInTimer');
  await reborn(modules, 'bad', again);
  t.equal(await lifeOf(modules, 'good'), good, 'asked or not');
});

t.test('thread: a heap that grows by small objects ends the cell alone', async (t) => {
  const modules = await start(t, [puppet('bad', { limits: { memory: '32MiB' } })], { containment: 'thread' });
  const bad = await lifeOf(modules, 'bad');
  t.match(await tell(modules, 'bad', 'heap'), { kind: 'crashed' });
  await reborn(modules, 'bad', bad);
});

for (const deed of ['map', 'fill', 'split']) {
  t.test(`${deed}: V8 aborts the process`, async (t) => {
    let open: () => void = () => {};
    const gate = new Promise<null>((resolve) => {
      open = () => resolve(null);
    });
    const modules = await start(
      t,
      [
        puppet('good'),
        puppet('other', { timeout: '60s', permissions: { users: ['read'] } }),
        puppet('bad', { timeout: '60s', limits: { memory: '32MiB' } }),
      ],
      { homeserver: { getProfile: () => gate } },
    );
    await warm();
    const [good, bad, pid] = [await lifeOf(modules, 'good'), await lifeOf(modules, 'bad'), pidOf(modules, 'good')];
    // It is running when the hull ends, and innocent.
    const running = tell(modules, 'other', 'ask');
    await sleep(50);
    t.match(await tell(modules, 'bad', deed), { allowed: false, kind: 'crashed', module: 'bad' });
    open();
    // Its thread, which was told to end, may yet take the hull with it.
    if (modules.hulls.length === 0) await sleep(1_000);
    if (modules.hulls.length === 0) {
      t.comment(`${deed} ended the cell alone`);
      await reborn(modules, 'bad', bad);
      t.equal(await lifeOf(modules, 'good'), good);
      return;
    }
    t.match(modules.hulls, [{ pid, cause: /SIG(ABRT|TRAP)|cannot be ended|of memory/, modules: ['bad'], known: true }]);
    t.match(
      modules.log.filter(({ message }) => message.startsWith('a hull ended')),
      [{ level: 'error', message: /culprit: bad/, fields: { pid, modules: ['bad'] } }],
    );
    t.match(await running, { said: 'asked', kind: undefined }, 'a check that was running is answered by the next hull');
    t.ok(await serves(modules, 'bad'));
    t.not(pidOf(modules, 'bad'), pidOf(modules, 'good'), 'the suspect lives in a hull of its own');
  });
}

t.test('all serve again soon after the end of a hull, and the host never stops', async (t) => {
  const innocent = Array.from({ length: 19 }, (_, i) => puppet(`m${i}`));
  const modules = await start(t, [...innocent, puppet('bad', { limits: { memory: '16MiB' } })]);
  const ids = modules.status().map(({ id }) => id);
  await within(t, 500, 'from the end of the hull until all 20 serve', async () => {
    await eventually(() => hullsOf().length === 3, 60_000);
    await sleep(5_000);
    const before = modules.hulls.length;
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    await get(modules, '/_synapse/client/bad/fillInTimer');
    await eventually(() => modules.hulls.length > before);
    const endedAt = performance.now();
    // Every check goes to all of them: with this one answered, each of them has.
    const outcome = await modules.spamChecker.checkEventForSpam(event('allow', { to: '' }));
    const took = performance.now() - endedAt;
    t.match(outcome, { allowed: true, failures: [] });
    delay.disable();
    t.comment(`longest block of the host's event loop: ${(delay.max / 1e6).toFixed(0)} ms`);
    t.same(
      modules.status().filter(({ state }) => state !== 'running'),
      [],
    );
    await goHome(t, modules, ids);
    return took;
  });
});

/** Lets quarantine pass, until all are in one hull again. */
async function goHome(t: Test, modules: Running, ids: readonly string[]): Promise<void> {
  jumpAhead(t, 61_000);
  await eventually(() => new Set(ids.map((id) => pidOf(modules, id))).size === 1);
  t.pass('quarantine ends: all live together again');
}

t.test('of ten modules one aborts on every call: after three aborts the other nine are undisturbed', async (t) => {
  const nine = Array.from({ length: 9 }, (_, i) => `m${i}`);
  const modules = await start(
    t,
    [...nine, 'bad'].map((id) => puppet(id)),
  );
  await warm();
  const busy = (to: string, ms: number) => modules.spamChecker.checkEventForSpam(event('busy', { to, ms }));
  /** How often one of the nine had to begin anew. */
  const disturbed = (): number => nine.reduce((sum, id) => sum + (status(modules, id)?.restarts ?? 0), 0);
  for (let abort = 1; abort <= 6; abort++) {
    const before = disturbed();
    const running = [busy('bad', 2_000), ...nine.map((id) => busy(id, 100))];
    // All of them are running something, so that all could be to blame.
    await sleep(150);
    process.kill(pidOf(modules, 'bad') as number, 'SIGABRT');
    const failures = (await Promise.all(running)).flatMap((outcome) => outcome.failures);
    t.ok(
      failures.every(({ module }) => module === 'bad' || abort <= 3),
      `abort ${abort}: the nine answer`,
    );
    if (abort > 3) t.equal(disturbed(), before, `abort ${abort}: and are undisturbed`);
    await eventually(() => modules.hulls.length >= abort);
    // Parked by then, it is given another chance by the admin, and begins in whatever hull it deserves.
    await modules.restart('bad');
    t.ok(await serves(modules, 'bad'));
  }
  t.match(modules.hulls.at(-1), { modules: ['bad'], known: true });
  t.ok(
    nine.every((id) => status(modules, id)?.state === 'running'),
    'all run',
  );
});

t.test('an abort that nobody can be blamed for', async (t) => {
  const modules = await start(t, [puppet('a'), puppet('b'), puppet('c')]);
  await warm();
  const pid = pidOf(modules, 'a') as number;
  const [asked, told] = [tell(modules, 'a', 'sleep', { ms: 500 }), tell(modules, 'b', 'sleep', { ms: 500 })];
  await sleep(100);
  process.kill(pid, 'SIGABRT');
  t.match(await asked, { kind: 'crashed' }, 'whoever was asked is a suspect, and is not asked again');
  t.match(await told, { kind: 'crashed' });
  t.match(modules.hulls, [{ pid, modules: ['a', 'b'], known: false }]);
  t.ok(modules.log.some(({ level, message }) => level === 'error' && message.includes('suspects: a, b')));
  for (const id of ['a', 'b', 'c']) t.ok(await serves(modules, id));
  t.equal(new Set(['a', 'b', 'c'].map((id) => pidOf(modules, id))).size, 3, 'each suspect has a hull of its own');

  // The second abort names the culprit.
  process.kill(pidOf(modules, 'a') as number, 'SIGABRT');
  await eventually(() => modules.hulls.length === 2);
  t.match(modules.hulls[1], { modules: ['a'], known: true });
  t.equal(status(modules, 'a')?.state, 'parked');
  const parked = await tell(modules, 'a', 'allow');
  t.match(parked, { kind: 'parked', module: 'a' });
  t.ok(parked.ms < 100, 'and is not waited for');
  await eventually(() => pidOf(modules, 'b') === pidOf(modules, 'c'));
  t.pass('the other suspect goes back at once');

  await eventually(async () => (await tell(modules, 'a', 'refuse')).said === 'as told');
  t.equal(status(modules, 'a')?.state, 'running', 'it is probed after a pause');
  t.not(pidOf(modules, 'a'), pidOf(modules, 'c'), 'still alone');
  await goHome(t, modules, ['a', 'b', 'c']);
  await eventually(() => hullsOf().length <= 3);
  t.pass('hulls that nobody lives in are let go');
});

t.test('a spare cell that is being ended hides nobody', async (t) => {
  const small = puppet('small', { limits: { memory: '32MiB' } });
  const modules = await start(t, [puppet('asked'), puppet('idle'), small]);
  await warm();
  const asked = tell(modules, 'asked', 'sleep', { ms: 3_000 });
  await sleep(100);
  // Nobody needs a spare of that kind any more.
  await modules.reload(configOf([puppet('asked'), puppet('idle')]));
  process.kill(pidOf(modules, 'asked') as number, 'SIGKILL');
  t.match(await asked, { kind: 'crashed' });
  t.match(modules.hulls, [{ modules: ['asked'] }]);
});

t.test('a thread that cannot be ended', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad', { timeout: '250ms' })]);
  await warm();
  const [good, bad, pid] = [await lifeOf(modules, 'good'), await lifeOf(modules, 'bad'), pidOf(modules, 'good')];
  // It is running when the hull has to go, and innocent.
  const running = tell(modules, 'good', 'sleep', { ms: 2_000 });
  const told = await tell(modules, 'bad', 'unendable');
  t.match(told, { allowed: false, kind: 'module_timeout' });
  await eventually(() => modules.hulls.length === 1);
  t.match(modules.hulls, [{ pid, cause: /SIGKILL/, modules: ['bad'], known: true }]);
  await reborn(modules, 'bad', bad);
  await reborn(modules, 'good', good);
  t.match(await running, { said: 'slept' });
  t.not(pidOf(modules, 'bad'), pidOf(modules, 'good'), 'the culprit lives in a hull of its own');
});

t.test('a restart during which another module takes the hull down', async (t) => {
  const modules = await start(t, [
    { module: './setups.ts#SlowToSetUp', id: 'slow' },
    puppet('bad', { timeout: '20s' }),
  ]);
  await warm();
  const restarting = modules.restart('slow');
  await sleep(300);
  t.match(await tell(modules, 'bad', 'split'), { kind: 'crashed' });
  await restarting;
  t.equal(modules.hulls.length, 1);
  t.match(status(modules, 'slow'), { state: 'running' });
});

t.test('a restart during which the hull ends, and the module itself is suspected', async (t) => {
  const modules = await start(t, [{ module: './setups.ts#SlowToSetUp', id: 'slow' }, puppet('idle')]);
  await warm();
  const profile = { user_id: '@alice:example.com', display_name: null, avatar_url: null };
  const asked = modules.spamChecker.checkUsernameForSpam(profile, '@bob:example.com');
  const restarting = modules.restart('slow');
  await sleep(300);
  process.kill(pidOf(modules, 'slow') as number, 'SIGKILL');
  await restarting;
  t.match(modules.hulls, [{ modules: ['slow'] }]);
  t.match(status(modules, 'slow'), { state: 'running' });
  await asked;
});

t.test('the same at set-up', async (t) => {
  for (const name of ['AbortsAtSetup', 'UnendableAtSetup']) {
    const bad = { module: `./aborts.ts#${name}`, id: 'bad', setup_timeout: '3s', limits: { memory: '16MiB' } };
    t.match(
      await problemsOf(start(t, [puppet('good'), bad])),
      [{ module: 'bad', code: /SetupFailed|SetupTimedOut/ }],
      name,
    );
    await eventually(() => hullsOf().length === 0);
  }
  const modules = await start(t, [
    puppet('good'),
    { module: './aborts.ts#AbortsAtSetup', id: 'bad', required: false, limits: { memory: '16MiB' } },
  ]);
  t.ok(await serves(modules, 'good'), 'required: false leaves the others in peace');
  t.equal(status(modules, 'bad')?.state, 'parked');
});

t.test('an abort in the set-up of a new module is not blamed on who was asked meanwhile', async (t) => {
  const modules = await start(t, [puppet('a', { timeout: '60s' }), puppet('b')]);
  await warm();
  const pid = pidOf(modules, 'a');
  const running = tell(modules, 'a', 'sleep', { ms: 6_000 });
  await sleep(50);
  const bad = { module: './aborts.ts#AbortsAtSetup', id: 'bad', limits: { memory: '16MiB' } };
  t.match(await problemsOf(modules.reload(configOf([puppet('a', { timeout: '60s' }), puppet('b'), bad]))), [
    { module: 'bad', code: 'SetupFailed' },
  ]);
  // The watch on its memory may have ended its cell before the hull came down.
  for (const hull of modules.hulls) t.match(hull, { pid, modules: [], known: false });
  t.match(await running, { said: 'slept' }, 'its call is asked again');
});
