// Limits that are watched from outside: memory that V8 does not count, the host's own time, a core.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ModuleEvents } from '@bulkhead/runtime';
import t from 'tap';
import { containments, eventually, puppet as hardy, type Running, serves, start, tell } from './harness.ts';

const MEBIBYTE = 1 << 20;
const puppet = (id: string, more: object = {}) => hardy(id, { timeout: '20s', ...more });

const causes = (modules: Running): string =>
  modules.log
    .map(({ message }) => message)
    .filter((message) => /the cell of bad (was lost|is ended)/.test(message))
    .join('\n');

function watched(modules: Running): ModuleEvents['watch'][] {
  const events: ModuleEvents['watch'][] = [];
  modules.on('watch', (event) => events.push(event));
  return events;
}

for (const containment of containments) {
  t.test(`${containment}: memory that grows in steps is held to its limit`, async (t) => {
    const modules = await start(t, [puppet('good'), puppet('bad')], { containment });
    const events = watched(modules);
    t.match(await tell(modules, 'bad', 'bufferSteps', { mebibytes: 30 }), { said: 'kept' }, 'below it nothing happens');
    const told = await tell(modules, 'bad', 'bufferSteps', { mebibytes: 2_000 });
    t.match(told, { kind: 'crashed', message: /it used \d+ MiB of memory, 64 MiB are allowed/ });
    t.match(events, [{ module: 'bad', limit: 'memory', action: 'ended', used: Number, allowed: 64 * MEBIBYTE }]);
    const [{ used = Infinity } = {}] = events;
    t.ok(used <= 128 * MEBIBYTE, `${used / MEBIBYTE} MiB: within 64 of the limit`);
    await eventually(() => serves(modules, 'bad'));
    t.match(modules.status()[1], { watches: { memory: 1 } });
    t.equal(modules.hulls.length, 0, 'nobody else noticed');
  });

  t.test(`${containment}: garbage does not count`, async (t) => {
    const modules = await start(t, [puppet('bad')], { containment });
    t.match(await tell(modules, 'bad', 'garbage', { mebibytes: 600 }), { said: 'collected' });
  });
}

t.test('memory that grows in a loop', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad')]);
  const { hullPid } = modules.status()[0] ?? {};
  const told = await tell(modules, 'bad', 'buffers');
  t.match(told, { kind: 'crashed', message: /MiB of memory, 64 MiB are allowed/ });
  t.ok(told.ms < 5_000, `after ${told.ms} ms`);
  await eventually(() => serves(modules, 'bad'));
  t.equal(modules.status()[0]?.hullPid, hullPid, 'the other lives where it did');
});

for (const containment of containments) {
  for (const flood of ['logs', 'calls']) {
    t.test(`${containment}: a flood of ${flood} ends the cell, and the host goes on meanwhile`, async (t) => {
      const modules = await start(t, [puppet('good'), puppet('bad', { permissions: { users: ['read'] } })], {
        containment,
        homeserver: { getProfile: () => new Promise(() => {}) },
      });
      const delay = monitorEventLoopDelay({ resolution: 5 });
      delay.enable();
      t.match(await tell(modules, 'bad', flood), { kind: 'crashed' });
      delay.disable();
      t.match(causes(modules), /it broke the protocol: it (floods the host|keeps the host busy)/);
      t.ok(delay.max / 1e6 < 1_000, `the event loop waited ${delay.max / 1e6} ms at most`);
      await eventually(() => serves(modules, 'bad'));
    });
  }
}

t.test('who asks the host for more than his share waits, and is not ended', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad', { limits: { host_time: '1%' } })]);
  const events = watched(modules);
  // How soon that is depends on how much of the processor the module is given to ask with.
  for (let round = 0; round < 20 && events.length === 0; round++) {
    t.match(await tell(modules, 'bad', 'storeAll', { ms: 1_000 }), { said: 'stored' });
  }
  t.match(events, [{ module: 'bad', limit: 'host_time', action: 'throttled', allowed: 0.01 }], 'told once');
  t.equal(causes(modules), '');
});

t.test('a module that takes more of a core than it may is ended', async (t) => {
  const modules = await start(t, [puppet('good'), puppet('bad', { limits: { cpu: '30%' }, timeout: '1m' })]);
  const events = watched(modules);
  t.match(await tell(modules, 'bad', 'busy', { ms: 50_000 }), { kind: 'crashed' });
  t.match(causes(modules), /it used \d+ % of a core, 30 % are allowed/);
  t.match(
    events.filter(({ action }) => action === 'ended'),
    [{ module: 'bad', limit: 'cpu', action: 'ended', allowed: 0.3 }],
  );
  if (process.platform === 'linux') t.match(events[0], { limit: 'cpu', action: 'slowed', allowed: 0.3 });
});
