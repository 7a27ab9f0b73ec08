// The breaker, on a clock that the test moves.

import fc from 'fast-check';
import t from 'tap';
import { Breaker } from '../../packages/runtime/src/supervision/breaker.ts';

const MINUTE = 60_000;
const options = { failures: 3, window: MINUTE };

t.test('parks after so many failures in the window', async (t) => {
  const breaker = new Breaker(options, () => 0);
  t.notOk(breaker.failed(0));
  t.notOk(breaker.failed(1));
  t.ok(breaker.admits(2));
  t.ok(breaker.failed(2));
  t.notOk(breaker.admits(3));
  t.strictSame(breaker.state, { state: 'open', until: 1002 });
});

t.test('failures outside the window do not count, successes forgive nothing', async (t) => {
  const breaker = new Breaker(options, () => 0);
  breaker.failed(0);
  breaker.failed(1);
  breaker.succeeded();
  t.notOk(breaker.failed(MINUTE), 'the first is a minute old');
  t.ok(breaker.failed(MINUTE), 'the second is not');
});

t.test('one call is the probe; its success opens the way for all', async (t) => {
  const breaker = new Breaker(options, () => 0);
  breaker.park(0);
  t.notOk(breaker.admits(999));
  t.ok(breaker.admits(1000));
  t.notOk(breaker.admits(1000), 'one at a time');
  t.equal(breaker.state.state, 'probing');
  breaker.succeeded();
  t.equal(breaker.state.state, 'closed');
  t.notOk(breaker.failed(1001), 'and the count begins anew');
});

t.test('a probe that fails waits twice as long, five minutes at most; a success makes it short again', async (t) => {
  const breaker = new Breaker(options, () => 0);
  const pauses: number[] = [];
  breaker.park(0);
  for (let now = 0; pauses.length < 12; ) {
    const { state } = breaker;
    if (state.state !== 'open') throw new Error('expected a pause');
    pauses.push(state.until - now);
    now = state.until;
    t.ok(breaker.admits(now));
    t.ok(breaker.failed(now), 'one failure is enough');
  }
  const seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
  t.strictSame(
    pauses,
    seconds.map((each) => each * 1000),
  );
  breaker.reset();
  breaker.park(0);
  t.match(breaker.state, { until: 1000 });
});

t.test('a probe that tells nothing leaves the next call to be one', async (t) => {
  const breaker = new Breaker(options, () => 0);
  breaker.park(0);
  breaker.admits(1000);
  breaker.inconclusive(1001);
  t.ok(breaker.admits(1001));
  breaker.failed(1002);
  t.match(breaker.state, { until: 3002 }, 'and the pause has not grown for it');
  breaker.inconclusive(1003);
  t.match(breaker.state, { until: 3002 }, 'without a probe it says nothing');
});

t.test('never parks before the limit, never admits before the pause is over', async (t) => {
  const steps = fc.array(fc.tuple(fc.nat(20_000), fc.constantFrom('fails', 'succeeds', 'is asked')), { maxLength: 80 });
  await t.resolves(
    Promise.resolve(
      fc.assert(
        fc.property(steps, (steps) => {
          const breaker = new Breaker(options, () => 0);
          let now = 0;
          let failures: number[] = [];
          for (const [pause, what] of steps) {
            now += pause;
            const { state } = breaker;
            if (what === 'is asked') {
              const admitted = breaker.admits(now);
              if (admitted !== (state.state === 'closed' || (state.state === 'open' && now >= state.until)))
                return false;
            } else if (what === 'succeeds') {
              breaker.succeeded();
            } else {
              failures = state.state === 'closed' ? [...failures, now] : [];
              const recent = failures.filter((at) => at > now - MINUTE).length;
              const parks = state.state === 'probing' || (state.state === 'closed' && recent >= options.failures);
              if (breaker.failed(now) !== parks) return false;
              if (parks) failures = [];
            }
          }
          return true;
        }),
      ),
    ),
  );
});
