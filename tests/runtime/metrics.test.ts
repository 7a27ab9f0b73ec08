import { registerMetrics } from '@bulkhead/runtime/metrics';
import { Registry } from 'prom-client';
import t from 'tap';
import { eventually, puppet, serves, start, tell } from './harness.ts';

t.test('what Prometheus is told', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad', { timeout: '250ms' })], { spares: false });
  const registry = new Registry();
  const unregister = registerMetrics(modules, registry);
  const sample = async (line: string): Promise<number | undefined> => {
    const lines = (await registry.metrics()).split('\n');
    const found = lines.find((each) => each.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length));
  };
  const counted = (module: string, result: string) =>
    sample(`bulkhead_call_duration_seconds_count{module="${module}",callback="checkEventForSpam",result="${result}"}`);

  t.equal(await sample('bulkhead_module_up{module="bad"}'), 1);
  await tell(modules, 'good', 'allow');
  t.ok(((await counted('good', 'allow')) ?? 0) >= 1, 'a call that was allowed');
  await tell(modules, 'bad', 'loop');
  t.equal(await counted('bad', 'module_timeout'), 1, 'a call that failed');
  await eventually(() => serves(modules, 'bad'));
  t.equal(await sample('bulkhead_module_state_changes_total{module="bad",state="restarting"}'), 1);
  t.ok(((await sample('bulkhead_module_memory_bytes{module="good"}')) ?? 0) > 2 ** 20, 'bytes');
  t.equal(await sample('bulkhead_module_calls_in_flight{module="good"}'), 0);

  unregister();
  t.strictSame(registry.getMetricsAsArray(), [], 'nothing is left behind');
});
