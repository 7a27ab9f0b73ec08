// What the operating system adds around a hull.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { type Running, start } from './harness.ts';

const canUnshare = process.platform === 'linux' && spawnSync('unshare', ['--net', 'true']).status === 0;
const options = canUnshare ? {} : { skip: 'needs Linux, and the right to unshare' };
const puppet = { module: './puppet.ts#Puppet', id: 'good' };

const fileOf = (modules: Running, file: string): string =>
  readFileSync(`/proc/${modules.status()[0]?.hullPid}/${file}`, 'utf8');

/** The names of network interfaces, as the kernel lists them for a process. */
const interfacesIn = (dev: string): readonly string[] => dev.match(/^\s*[\w.@-]+(?=:)/gm) ?? [];
const own = (): readonly string[] => interfacesIn(readFileSync('/proc/self/net/dev', 'utf8'));

t.test('a hull has no network, no privileges, and leaves no core', options, async (t) => {
  const modules = await start(t, [puppet]);
  t.match(fileOf(modules, 'status'), /NoNewPrivs:\s+1/);
  t.match(fileOf(modules, 'status'), /CapEff:\s+0000000000000000/);
  t.match(fileOf(modules, 'limits'), /Max core file size\s+0\s+0/);
  t.strictSame(
    interfacesIn(fileOf(modules, 'net/dev'))
      .map((name) => name.trim())
      .filter((name) => name !== 'lo'),
    [],
    'but a loopback that is down',
  );
});

t.test('without it, it has what the host has', options, async (t) => {
  const modules = await start(t, [puppet], { file: { bulkhead: { sandbox: 'none' } } });
  t.match(fileOf(modules, 'status'), /NoNewPrivs:\s+0/);
  t.strictSame(interfacesIn(fileOf(modules, 'net/dev')), own());
});

t.test('a module that is trusted keeps the network', options, async (t) => {
  const modules = await start(t, [{ ...puppet, isolation: 'thread' }]);
  t.strictSame(interfacesIn(fileOf(modules, 'net/dev')), own());
  t.match(fileOf(modules, 'status'), /NoNewPrivs:\s+1/);
});
