// A hull and the cells in it, without modules.

import t from 'tap';
import { createCommonBudget } from '../../packages/runtime/dist/dispatch/budget.js';
import { spawnHull } from '../../packages/runtime/dist/supervision/hull.js';
import { sleep } from './harness.ts';

/** After so long a thread that was told to end takes its hull with it. */
const LONGEST_KILL_MS = 3_000;

t.test('a cell that is ended while its thread begins costs the hull nothing', async (t) => {
  const hull = spawnHull({ slots: 8, sandbox: 'auto', network: false }, createCommonBudget());
  t.teardown(() => hull.close());
  const first = hull.open({ memory: 64 << 20, isolation: 'compartment' });
  await first.channel.ready;
  const cells = [0, 20, 50, 100].map((ms) => {
    const cell = hull.open({ memory: 64 << 20, isolation: 'compartment' });
    setTimeout(() => cell.kill(), ms);
    return cell;
  });
  await Promise.race([Promise.all(cells.map(({ channel }) => channel.ended)), sleep(LONGEST_KILL_MS - 500)]);
  t.strictSame(
    cells.map(({ channel }) => channel.closed),
    [true, true, true, true],
  );
  await sleep(LONGEST_KILL_MS);
  t.notOk(hull.gone);
  t.notOk(first.channel.closed);
});

t.test('a cell of a hull that has just ended ends as well', async (t) => {
  const hull = spawnHull({ slots: 8, sandbox: 'auto', network: false }, createCommonBudget());
  const options = { memory: 64 << 20, isolation: 'compartment' } as const;
  await hull.open(options).channel.ready;
  process.kill(hull.pid as number, 'SIGKILL');
  await hull.exited;
  // Whoever restarts a module may not have heard of it yet.
  await sleep(50);
  const { channel } = hull.open(options);
  await Promise.race([channel.ended, sleep(2_000)]);
  t.ok(channel.closed);
});
