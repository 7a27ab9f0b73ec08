// The token bucket, on a clock that the test moves.

import t from 'tap';
import { createRateLimit } from '../../packages/runtime/src/api/quota.ts';

t.test('a burst passes, then as many as the rate', async (t) => {
  let time = 0;
  const limit = createRateLimit({ perSecond: 10, burst: 5, now: () => time });
  const passed = (attempts: number) => Array.from({ length: attempts }, () => limit.take()).filter(Boolean).length;
  t.equal(passed(20), 5);
  time += 100;
  t.equal(passed(20), 1);
  time += 250;
  t.equal(passed(20), 2);
  time += 50;
  t.equal(passed(20), 1, 'halves add up');
  time += 3_600_000;
  t.equal(passed(20), 5, 'a quiet hour is no more than a burst');
});

t.test('what was dropped is counted, and told once', async (t) => {
  let time = 0;
  const limit = createRateLimit({ perSecond: 1, burst: 1, now: () => time });
  for (let i = 0; i < 10; i++) limit.take();
  t.equal(limit.takeDropped(), 9);
  t.equal(limit.takeDropped(), 0);
  time += 1000;
  limit.take();
  limit.take();
  t.equal(limit.takeDropped(), 1);
});

t.test('a clock that goes back neither gives nor takes', async (t) => {
  let time = 10_000;
  const limit = createRateLimit({ perSecond: 1, burst: 2, now: () => time });
  limit.take();
  time = 0;
  t.equal(limit.take(), true);
  t.equal(limit.take(), false);
});

t.test('it runs on a clock of its own', async (t) => {
  const limit = createRateLimit({ perSecond: 1000, burst: 1 });
  t.equal(limit.take(), true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.equal(limit.take(), true);
});
