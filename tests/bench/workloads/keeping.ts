// What is kept: nothing for a call that is over, and no timer for one that is not.

import { startRuntime } from '../contenders/bulkhead.ts';
import { createEvent } from '../events.ts';
import { rest } from '../measure.ts';
import type { Findings, Plan } from '../workload.ts';

const IN_FLIGHT = 100_000;

export async function keeping(plan: Plan): Promise<Findings> {
  const calls = plan.short ? 20_000 : 1_000_000;
  const { modules, close } = await startRuntime({ modules: [{ name: 'word-list' }] });
  const ask = async (number: number): Promise<void> => {
    let left = number;
    const one = async (): Promise<void> => {
      while (left-- > 0) await modules.spamChecker.checkEventForSpam(createEvent('0.3 KB'));
    };
    await Promise.all(Array.from({ length: 256 }, one));
  };
  const heapUsed = async (): Promise<number> => {
    await rest(500);
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage().heapUsed;
  };
  await ask(20_000);
  const before = await heapUsed();
  await ask(calls);
  const grown = (await heapUsed()) - before;
  await close();

  const slow = await startRuntime({
    modules: [
      {
        name: 'slow',
        config: { ms: 30_000 },
        entry: { limits: { calls_in_flight: 110_000, memory: '1GiB' }, timeout: '25s' },
      },
    ],
  });
  const number = plan.short ? 1_000 : IN_FLIGHT;
  const { setTimeout } = globalThis;
  let made = 0;
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => {
    made++;
    return setTimeout(...args);
  }, setTimeout);
  for (let i = 0; i < number; i++) void slow.modules.spamChecker.checkEventForSpam(createEvent('0.3 KB'));
  globalThis.setTimeout = setTimeout;
  await slow.close();
  plan.tell(`${calls} calls`);
  return {
    tables: [
      {
        id: 'keeping',
        title: 'What is kept',
        unit: '',
        columns: ['seen'],
        rows: [
          { name: `bytes for each of ${calls.toLocaleString('en')} calls that are over`, cells: [[grown / calls]] },
          { name: `timers for ${number.toLocaleString('en')} calls in flight`, cells: [[made]] },
        ],
      },
    ],
    goals: [
      { what: 'bytes kept per finished call', ratio: [grown / calls], atMost: 4 },
      { what: 'timers for all calls in flight', ratio: [made], atMost: 2 },
    ],
  };
}
