import t from 'tap';
import { buildCell } from './web-standards/build.js';
import type { Outcome } from './web-standards/inside.js';
import type { Found } from './web-standards/walk.js';

const run = await buildCell();

t.test('the web standards hold in a compartment', async (t) => {
  const { result, uncaught, timerRuns } = await run<Outcome[]>('checks');
  t.ok(result.length > 49);
  for (const { name, error } of result) t.equal(error, undefined, name);
  t.strictSame(
    uncaught,
    ['Error: expected: thrown by a listener stack'],
    'what a listener throws is reported, with its stack',
  );
  t.ok(timerRuns > 0, 'timers run by way of the hook');
});

t.test('no attack gets hold of anything', async (t) => {
  const { result } = await run<Record<string, string>>('attacks');
  for (const [name, got] of Object.entries(result)) t.equal(got, 'nothing', name);
});

t.test('all that is reachable is frozen where it is shared, and nothing of it is Node', async (t) => {
  const { result } = await run<Found[]>('walk');
  t.strictSame(result, []);
});
