// The hull's main thread: it opens and kills cells as the host says, and watches them. No byte of a module's passes here.

import { Socket } from 'node:net';
import { join } from 'node:path';
import { type Layer, layers } from '../layers.js';
import { CONTROL_FD, type HullCommand, type HullReport, lineReader } from './control.js';
import { CellPool, type PooledCell } from './pool.js';
import { watchCells } from './watchdog.js';

const [bootstrapFolder, layersOff, ...cellFlags] = process.argv.slice(2) as [string, string, ...string[]];
layers.takeOff(...(JSON.parse(layersOff) as Layer[]));
const pool = new CellPool({ bootstrap: join(bootstrapFolder, 'cell.cjs'), execArgv: cellFlags });
const cells = new Map<number, PooledCell>();
const control = new Socket({ fd: CONTROL_FD, readable: true, writable: true });
const report = (message: HullReport): void => void control.write(`${JSON.stringify(message)}\n`);

// Without a host there is nothing to live for. SIGKILL, because process.exit does not return while a thread cannot be ended.
const end = (): void => void process.kill(process.pid, 'SIGKILL');
control.on('close', end);
// The same if this thread itself fails: leaving in the ordinary way would wait for ever for a thread that cannot be ended.
process.on('exit', end);
control.on('error', () => {});
control.setEncoding('utf8');
control.on('data', lineReader(1 << 20, (line) => obey(JSON.parse(line) as HullCommand)) as (data: unknown) => void);

// The terminal's Ctrl-C reaches the whole process group; whether to stop is the host's decision.
process.on('SIGINT', () => {});

watchCells(cells, {
  busy: (busy) => report({ report: 'busy', cells: busy.map(({ key, marks }) => ({ slot: key, marks })) }),
  usage: (usage) => report({ report: 'usage', cells: usage.map(({ key, cpu }) => ({ slot: key, cpu })) }),
});
report({ report: 'up' });

function obey(command: HullCommand): void {
  if (command.command === 'kill') {
    cells.get(command.slot)?.kill();
    return;
  }
  const { slot, memory, isolation } = command;
  const cell = pool.open({ fd: CONTROL_FD + 1 + slot }, memory, isolation);
  cells.set(slot, cell);
  void cell.ended.then(({ marks, cause, excess }) => {
    cells.delete(slot);
    report({ report: 'ended', slot, marks, cause: cause.slice(0, 1000), excess });
  });
}
