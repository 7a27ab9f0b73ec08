import t from 'tap';
import { createTimers } from '../../packages/runtime/src/cell/timers.js';
import { inPool } from '../../packages/runtime/src/cell/web/pool.js';

const nextTurns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

t.test('timers: errors are reported, disposing ends all', async (t) => {
  const errors: unknown[] = [];
  const timers = createTimers({ maxTimers: 3, onUncaught: (error) => void errors.push(error) });
  let runs = 0;
  timers.setTimeout(() => {
    throw 'thrown';
  });
  // A busy machine takes its time; without an interval that goes on, the test's own time limit ends this.
  await new Promise<void>((resolve) => {
    timers.setInterval(() => {
      runs++;
      if (runs > 1 && errors.length > 0) resolve();
    }, 1);
  });
  t.strictSame(errors, ['thrown']);
  timers.dispose();
  const before = runs;
  t.equal(
    timers.setTimeout(() => void runs++),
    0,
    'none is set afterwards',
  );
  await nextTurns();
  t.equal(runs, before);
});

t.test('timers: the limit counts those that live', async (t) => {
  const timers = createTimers({ maxTimers: 2, onUncaught: () => {} });
  const ids = [timers.setTimeout(() => {}, 9999), timers.setTimeout(() => {}, 9999)];
  t.throws(() => timers.setTimeout(() => {}), { name: 'RangeError', message: /2 timers at once/ });
  timers.clearTimeout(ids[0]);
  t.doesNotThrow(() => timers.setTimeout(() => {}));
  timers.dispose();
});

t.test('pool: two at once, the others in turn, failures included', async (t) => {
  let running = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await nextTurns();
    running -= 1;
    if (most === 1) throw new Error('never');
  };
  const fail = () => Promise.reject(new Error('expected'));
  const results = await Promise.allSettled([work, fail, work, work, fail, work].map((one) => inPool(one)));
  t.equal(most, 2);
  t.strictSame(
    results.map(({ status }) => status === 'fulfilled'),
    [true, false, true, true, false, true],
  );
});
