// The hull's main thread: it opens and kills cells as the host says, and watches them. No byte of a module's passes here.

import { Socket } from 'node:net';
import { join } from 'node:path';
import { CONTROL_FD, type HullCommand, type HullReport, lineReader } from './control.js';
import { BUSY, CellPool, type PooledCell } from './pool.js';

/** How often the watchdog looks; a cell that was busy for two looks in a row is told to the host. */
const LOOK_MS = 20;

const [bootstrapFolder, ...cellFlags] = process.argv.slice(2) as [string, ...string[]];
const pool = new CellPool({ bootstrap: join(bootstrapFolder, 'cell.cjs'), execArgv: cellFlags });
const cells = new Map<number, PooledCell>();
const control = new Socket({ fd: CONTROL_FD, readable: true, writable: true });
const report = (message: HullReport): void => void control.write(`${JSON.stringify(message)}\n`);

// Without a host there is nothing to live for. SIGKILL, because process.exit does not return while a thread cannot be ended.
control.on('close', () => process.kill(process.pid, 'SIGKILL'));
control.on('error', () => {});
control.setEncoding('utf8');
control.on('data', lineReader(1 << 20, (line) => obey(JSON.parse(line) as HullCommand)) as (data: unknown) => void);

// The terminal's Ctrl-C reaches the whole process group; whether to stop is the host's decision.
process.on('SIGINT', () => {});

setInterval(look, LOOK_MS);
report({ report: 'up' });

function obey(command: HullCommand): void {
  if (command.command === 'kill') {
    cells.get(command.slot)?.kill();
    return;
  }
  const { slot, memory, isolation } = command;
  const cell = pool.open({ fd: CONTROL_FD + 1 + slot }, memory, isolation);
  cells.set(slot, cell);
  void cell.ended.then(({ begun, cause }) => {
    cells.delete(slot);
    report({ report: 'ended', slot, begun, cause: cause.slice(0, 1000) });
  });
}

const busyBefore = new Set<number>();
let reported = '';

function look(): void {
  const busy: { slot: number; begun: number }[] = [];
  for (const [slot, cell] of cells) {
    if (cell.load() < BUSY) {
      busyBefore.delete(slot);
    } else if (busyBefore.has(slot)) {
      busy.push({ slot, begun: cell.begun() });
    } else {
      busyBefore.add(slot);
    }
  }
  // Written now rather than on demand: when V8 aborts the process, what was said before is all that the host can learn.
  const text = JSON.stringify(busy);
  if (text === reported) return;
  reported = text;
  report({ report: 'busy', cells: busy });
}
