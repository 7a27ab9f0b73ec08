// What protects the host, and the other modules, from one that fails or is asked without end.

import t from 'tap';
import { event, eventually, puppet as hardy, kills, serves, sleep, start, tell } from './harness.ts';

const puppet = (id: string, more: object = {}) => hardy(id, { timeout: '250ms', ...more });

t.test('what finds no place in the line fails at once', async (t) => {
  const modules = await start(t, [puppet('bad', { timeout: '2s', limits: { calls_in_flight: 2 } })]);
  const told = Array.from({ length: 30 }, () => tell(modules, 'bad', 'pause', { ms: 150 }));
  let answered = 0;
  for (const one of told.slice(0, 22)) void one.then(() => answered++);
  const shed = await Promise.all(told.slice(22));
  t.equal(answered, 0, 'these did not wait for anybody');
  t.match(
    shed,
    Array(8).fill({ allowed: false, kind: 'queue_timeout', message: /20 calls wait for the module already/ }),
  );
  t.match(await Promise.all(told.slice(0, 22)), Array(22).fill({ allowed: true }), 'the others have their turn');
});

t.test('the line is short for large arguments', async (t) => {
  const modules = await start(t, [puppet('bad', { timeout: '1m', limits: { calls_in_flight: 100 } })]);
  const body = 'x'.repeat(60_000);
  // A cell that does not read: what was sent to it, and what waits, is in the memory of the host.
  const busy = tell(modules, 'bad', 'busy', { ms: 1_000 });
  await sleep(50);
  const told = await Promise.all(Array.from({ length: 900 }, () => tell(modules, 'bad', 'allow', { body })));
  const shed = told.filter(({ kind }) => kind === 'queue_timeout').length;
  t.ok(shed > 250 && shed < 450, `of 54 MB about 33 are kept: ${shed} of 900 calls had no place`);
  t.equal(told.filter(({ allowed }) => allowed).length, 900 - shed, 'the others are answered as soon as it reads');
  t.match(await busy, { said: 'was busy' });
});

t.test('a call that has ended the cell twice is not asked again', async (t) => {
  const modules = await start(t, [puppet('bad')]);
  for (let number = 1; number <= 2; number++) {
    t.match(await tell(modules, 'bad', 'loop'), { kind: 'module_timeout' });
    await eventually(() => kills(modules) === number);
    await eventually(() => serves(modules, 'bad'));
  }
  t.match(await tell(modules, 'bad', 'loop'), { allowed: false, kind: 'parked', message: /ended the cell.*twice/ });
  t.equal(kills(modules), 2, 'it cost nothing');
  t.match(await tell(modules, 'bad', 'loop', { other: 1 }), { kind: 'module_timeout' }, 'with other arguments it is');
  t.match(
    modules.log.filter(({ message }) => message.includes('twice')),
    [{ level: 'warn', fields: { module: 'bad', callback: 'checkEventForSpam' } }],
  );
});

t.test('modules that fail without end do not begin anew without end', async (t) => {
  const modules = await start(
    t,
    [puppet('bad', { on_failure: 'allow' }), puppet('worse', { on_failure: 'allow' }), puppet('good')],
    {
      file: { bulkhead: { restarts_per_minute: 3 } },
    },
  );
  const since = performance.now();
  while (performance.now() - since < 4_000) {
    await Promise.all(['bad', 'worse'].map((id) => tell(modules, id, 'heap', { number: performance.now() })));
    await sleep(20);
  }
  const restarts = modules.status().reduce((sum, module) => sum + module.restarts, 0);
  t.ok(restarts === 3, `three at once, a fourth after twenty seconds: ${restarts}`);
  t.match(await tell(modules, 'good', 'refuse'), { said: 'as told' });
  const outcome = await modules.spamChecker.checkEventForSpam(event('allow', { to: 'bad' }));
  t.match(outcome.failures[0], { kind: 'queue_timeout' });
});
