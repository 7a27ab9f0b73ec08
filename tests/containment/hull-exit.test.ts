import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { FrameWriter } from '../../packages/runtime/src/wire/frame.js';
import { RecordType } from '../../packages/runtime/src/wire/record.js';

const runtime = fileURLToPath(import.meta.resolve('@bulkhead/runtime'));
const bundles = join(dirname(runtime), 'bundles');

/** A loop inside V8 that `terminate` cannot end. */
const ENDLESS = 'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)';

t.test('a hull whose main thread fails is gone, whatever its cells are doing', async (t) => {
  const hull = spawn(process.execPath, [join(bundles, 'hull.cjs'), bundles, '[]'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: {},
  });
  t.teardown(() => hull.kill('SIGKILL'));
  const control = hull.stdio[3] as Duplex;
  const cell = hull.stdio[4] as Duplex;
  control.on('error', () => {});
  cell.on('error', () => {});
  control.write(`${JSON.stringify({ command: 'open', slot: 0, memory: 2 ** 26, isolation: 'compartment' })}\n`);
  await once(cell, 'data');

  new FrameWriter((frame) => cell.write(frame) && false).push(RecordType.load, 0, 1, 0, Buffer.from(ENDLESS));
  let heard = '';
  await new Promise<void>((resolve) => {
    control.on('data', (text) => {
      heard += String(text);
      if (heard.includes('"slot":0')) resolve();
    });
  });
  t.match(heard, '"busy"', 'the watchdog sees the loop');

  // The pipe stays open: what ends the hull is its own failure, over a command that is none.
  control.write('nonsense\n');
  const [, signal] = await once(hull, 'exit');
  t.equal(signal, 'SIGKILL');
});
