// One call to several modules: what it costs the homeserver's thread, and whether a slow one is waited for.

import { startRuntime } from '../contenders/bulkhead.ts';
import { createEvent } from '../events.ts';
import { load, percentile, ratio, rest } from '../measure.ts';
import type { Findings, Plan, Row } from '../workload.ts';

const ABREAST = 64;
const SLOW_MS = 250;
/** For each module. */
const WARM_UP_MS = 125;

export async function fanOut(plan: Plan): Promise<Findings> {
  const numbers = plan.short ? [1, 4] : [1, 4, 16, 64];
  const cpu = new Map<string, number[]>();
  const rates = new Map<string, number[]>();
  for (const refusers of [0, 1]) {
    const teams = [];
    for (const number of numbers) {
      const passing = Array.from({ length: number - refusers }, () => ({ name: 'word-list' }));
      const running = await startRuntime({ modules: [...passing, ...(refusers === 0 ? [] : [{ name: 'refuses' }])] });
      const ask = () => running.modules.spamChecker.checkEventForSpam(createEvent('0.3 KB'));
      // Each cell compiles what runs often by itself, and they share the cores.
      await load(ask, { abreast: ABREAST, ms: plan.short ? plan.ms : WARM_UP_MS * (4 + number) });
      teams.push({ name: `${number}${refusers === 0 ? '' : ', the last refuses'}`, ask, close: running.close });
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const { name, ask } of teams) {
        await load(ask, { abreast: ABREAST, ms: plan.ms / 2 });
        await rest();
        const { hostCpu, perSecond } = await load(ask, { abreast: ABREAST, ms: plan.ms * 2 });
        cpu.set(name, [...(cpu.get(name) ?? []), hostCpu]);
        rates.set(name, [...(rates.get(name) ?? []), perSecond]);
      }
    }
    for (const { name, close } of teams) {
      await close();
      plan.tell(`fan-out to ${name}`);
    }
  }
  const rows = [...cpu].map(([name, cpus]): Row => ({ name, cells: [cpus, rates.get(name)] }));
  const to = (number: string) => ratio(cpu.get(number) ?? [], cpu.get('1') ?? []);
  return {
    tables: [
      {
        id: 'fan-out',
        title: `One call to several modules, ${ABREAST} in flight, events of 0.3 KB`,
        unit: '',
        columns: ['µs of the host’s thread for a call', 'calls/s'],
        rows,
      },
    ],
    goals: [
      { what: '16 modules, host CPU to that of one', ratio: to('16'), atMost: 4 },
      { what: '64 modules, host CPU to that of one', ratio: to('64'), atMost: 12 },
    ],
  };
}

/** The first refuses at once, the second takes its time. */
export async function decided(plan: Plan): Promise<Findings> {
  const entry = { timeout: '10s' };
  const { modules, close } = await startRuntime({
    modules: [{ name: 'refuses' }, { name: 'slow', config: { ms: SLOW_MS }, entry }],
  });
  const slowest: number[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    const found = await load(() => modules.spamChecker.checkEventForSpam(createEvent('0.3 KB')), {
      abreast: 1,
      ms: plan.ms,
    });
    slowest.push(percentile(found.latencies, 0.99));
  }
  await close();
  return {
    tables: [
      {
        id: 'decided',
        title: `Decided early, beside a module that takes ${SLOW_MS} ms`,
        unit: 'µs',
        columns: ['p99'],
        rows: [{ name: 'the first of two refuses', cells: [slowest] }],
      },
    ],
    goals: [
      {
        what: 'decided early, p99 to what the slow module takes',
        ratio: slowest.map((us) => us / (SLOW_MS * 1000)),
        atMost: 0.1,
      },
    ],
  };
}
