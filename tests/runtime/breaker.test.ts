// A module that fails again and again is not asked for a while, and then once, to see.

import t from 'tap';
import { eventually, get, jumpAhead, lifeOf, serves, sleep, start, tell } from './harness.ts';

const puppet = (id: string, more: object = {}) => ({ module: './puppet.ts#Puppet', id, ...more });

t.test('parks after so many failures, and settles at once from then on', async (t) => {
  const modules = await start(t, [puppet('bad', { breaker: { failures: 3, window: '60s' } })]);
  for (let i = 0; i < 2; i++) t.match(await tell(modules, 'bad', 'throw'), { kind: 'threw' });
  t.equal(modules.status()[0]?.state, 'running');
  t.match(await tell(modules, 'bad', 'throw'), { kind: 'threw' });
  t.match(modules.status(), [{ state: 'parked', failures: { threw: 3 } }]);
  t.match(modules.cells, [{ module: 'bad', state: 'parked', cause: /thrown on command/ }]);
  t.ok(modules.log.some(({ level, message }) => level === 'error' && message.startsWith('bad is parked')));

  const parked = await tell(modules, 'bad', 'hang');
  t.match(parked, { kind: 'parked', allowed: false });
  t.ok(parked.ms < 100, 'nobody waits for it');

  // One call is let through when the pause is over; until it is answered, no other.
  await sleep(1_250);
  const probe = tell(modules, 'bad', 'sleep', { ms: 300 });
  t.match(await Promise.all([1, 2, 3].map(() => tell(modules, 'bad', 'allow'))), [
    { kind: 'parked' },
    { kind: 'parked' },
    { kind: 'parked' },
  ]);
  t.match(await probe, { said: 'slept', kind: undefined });
  t.match(modules.cells.at(-1), { module: 'bad', state: 'running' }, 'which is told');
  t.ok(await serves(modules, 'bad'));
});

t.test('a probe that fails makes the pause longer', async (t) => {
  const modules = await start(t, [puppet('bad', { breaker: { failures: 1 } })]);
  await tell(modules, 'bad', 'throw');
  jumpAhead(t, 1_201);
  t.match(await tell(modules, 'bad', 'throw'), { kind: 'threw' });
  jumpAhead(t, 1_201);
  t.match(await tell(modules, 'bad', 'allow'), { kind: 'parked' }, 'the second pause is twice the first');
  jumpAhead(t, 1_200);
  t.match(await tell(modules, 'bad', 'allow'), { kind: undefined });
});

t.test('failures outside the window are forgotten', async (t) => {
  const modules = await start(t, [puppet('bad', { breaker: { failures: 2, window: '10s' } })]);
  await tell(modules, 'bad', 'throw');
  jumpAhead(t, 10_001);
  await tell(modules, 'bad', 'throw');
  t.equal(modules.status()[0]?.state, 'running');
});

t.test('an admin gives it another chance', async (t) => {
  const modules = await start(t, [puppet('bad', { breaker: { failures: 1 } })]);
  const life = await lifeOf(modules, 'bad');
  await tell(modules, 'bad', 'throw');
  t.equal(modules.status()[0]?.state, 'parked');
  await modules.restart('bad');
  t.match(modules.status(), [{ state: 'running', restarts: 1 }]);
  t.match(await tell(modules, 'bad', 'allow'), { kind: undefined });
  t.not(await lifeOf(modules, 'bad'), life);
  await t.rejects(modules.restart('nobody'), { code: 'UnknownModule', message: /nobody/ });
});

t.test('failures that are not its own do not count', async (t) => {
  const modules = await start(
    t,
    [puppet('bad', { timeout: '150ms', breaker: { failures: 1 }, permissions: { users: ['read'] } })],
    { homeserver: { getProfile: () => new Promise(() => {}) } },
  );
  t.match(await tell(modules, 'bad', 'ask'), { kind: 'api_timeout' });
  t.equal(modules.status()[0]?.state, 'running');
});

t.test(
  'a cell that is lost counts once, whatever it was being asked, and also when it was asked nothing',
  async (t) => {
    const modules = await start(t, [puppet('bad', { limits: { memory: '32MiB' }, breaker: { failures: 2 } })]);
    const sleeping = [1, 2, 3].map(() => tell(modules, 'bad', 'sleep', { ms: 4_000 }));
    await sleep(100);
    await tell(modules, 'bad', 'heapInTimer');
    t.match(await Promise.all(sleeping), [{ kind: 'crashed' }, { kind: 'crashed' }, { kind: 'crashed' }]);
    t.equal(modules.status()[0]?.state === 'parked', false, 'three calls, one failure');
    await eventually(() => serves(modules, 'bad'));
    await tell(modules, 'bad', 'heapInTimer');
    await eventually(() => modules.status()[0]?.state === 'parked');
  },
);

t.test('required: false parks what cannot be set up, and tries again at growing intervals', async (t) => {
  const modules = await start(t, [puppet('good'), { module: './flaky.ts', id: 'flaky', required: false }]);
  t.ok(await serves(modules, 'good'));
  t.match(modules.status(), [{ state: 'running' }, { id: 'flaky', state: 'parked', callbacks: [] }]);
  t.equal(modules.has('isUserExpired'), false);
  // It is tried after 1 s and 2 s more, and comes up the fourth time.
  await sleep(3_800);
  const failed = modules.log.filter(({ message }) => message.includes('could not be set up again')).length;
  t.ok(failed >= 1 && failed <= 2, `tried ${failed} times in 3.8 s`);
  t.match(modules.status(), [{}, { state: 'parked' }]);
  await eventually(() => modules.status()[1]?.state === 'running');
  t.equal(modules.has('isUserExpired'), true, 'what it registers counts from then on');
  t.match(await modules.accountValidity.isUserExpired('@alice:example.com'), { expired: false, module: 'flaky' });
  t.equal((await get(modules, '/_synapse/client/flaky')).status, 200);
});
