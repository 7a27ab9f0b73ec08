// Bodies stream both ways, as fast as the slower side, through a module that has memory for a part of them only.

import { readFileSync } from 'node:fs';
import t from 'tap';
import { containments, eventually, sleep } from '../runtime/harness.ts';
import { answer, said, startWeb, web } from './harness.ts';

const MIB = 1024 * 1024;
const LARGE = 100 * MIB;
const webLimits = { request: 2 * LARGE, response: 2 * LARGE };

/** A body of so many bytes, made as it is read. */
function body(total: number, made: (bytes: number) => void = () => {}): ReadableStream<Uint8Array> {
  let left = total;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = Math.min(left, MIB / 4);
      left -= size;
      made(total - left);
      controller.enqueue(new Uint8Array(size).fill(7));
      if (left === 0) controller.close();
    },
  });
}

const post = (stream: ReadableStream<Uint8Array>, more: RequestInit = {}): RequestInit =>
  ({ method: 'POST', body: stream, duplex: 'half', ...more }) as RequestInit;

async function sizeOf(response: Response): Promise<number> {
  let total = 0;
  for await (const chunk of response.body as ReadableStream<Uint8Array>) total += chunk.length;
  return total;
}

/** The most that the resident sizes of these processes grow meanwhile, in MiB. */
async function growth<T>(
  pids: readonly number[],
  run: Promise<T>,
): Promise<{ readonly value: T; readonly mib: readonly number[] }> {
  const sizes = (): number[] =>
    pids.map((pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);
  const before = sizes();
  const most = [...before];
  const timer = setInterval(() => {
    sizes().forEach((size, index) => {
      most[index] = Math.max(most[index] ?? 0, size);
    });
  }, 5);
  const value = await run.finally(() => clearInterval(timer));
  return { value, mib: most.map((size, index) => Math.round(size - (before[index] ?? 0))) };
}

for (const containment of containments) {
  t.test(`${containment}: 100 MB each way through a module of 64 MiB`, async (t) => {
    const modules = await startWeb(
      t,
      [
        web('m', {
          '/_synapse/client/out': 'large',
          '/_synapse/client/in': 'counts',
          '/_synapse/client/both': 'echoes',
        }),
      ],
      { containment, webLimits },
    );
    const pids = [process.pid, ...modules.status().flatMap(({ hullPid }) => hullPid ?? [])];
    const runs = {
      out: () => answer(modules, `/_synapse/client/out?bytes=${LARGE}`).then(sizeOf),
      in: () => answer(modules, '/_synapse/client/in', post(body(LARGE))).then((response) => response.json()),
      'in and out': () => answer(modules, '/_synapse/client/both', post(body(LARGE))).then(sizeOf),
    };
    for (const [name, run] of Object.entries(runs)) {
      const { value, mib } = await growth(pids, run());
      t.equal(value, LARGE, name);
      // In one process are the buffers of both, and the garbage of both.
      t.ok(
        Math.max(...mib) < (containment === 'process' ? 90 : 170),
        `${name}: host and hull grow by ${mib.join(' and ')} MiB`,
      );
    }
    t.equal(modules.status()[0]?.restarts, 0, 'the module lived through it');
  });
}

t.test('a reader that does not read stops the writer', async (t) => {
  const modules = await startWeb(t, [
    web('m', { '/_synapse/client/endless': 'endless', '/_synapse/client/slow': 'readsSlowly' }),
  ]);
  const response = await answer(modules, '/_synapse/client/endless');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await sleep(500);
  await reader.cancel();
  await eventually(() => said(modules, 'cancelled').length === 1);
  const [{ sent }] = said(modules, 'cancelled') as [{ sent: number }];
  t.ok(sent < MIB, `the module made ${sent} bytes for a client that read one chunk`);

  let made = 0;
  const slow = await answer(
    modules,
    '/_synapse/client/slow',
    post(
      body(8 * MIB, (bytes) => {
        made = bytes;
      }),
    ),
  );
  t.equal(await slow.text(), 'enough');
  t.ok(made <= 2 * MIB, `the client was asked for ${made} bytes by a module that read one chunk`);
});

t.test('a client that goes away', async (t) => {
  const modules = await startWeb(t, [
    web('m', { '/_synapse/client/hangs': 'hangs', '/_synapse/client/endless': 'endless' }),
  ]);
  const before = new AbortController();
  const waiting = answer(modules, '/_synapse/client/hangs', { signal: before.signal });
  await sleep(200);
  before.abort();
  await waiting;
  await eventually(() => said(modules, 'aborted').length === 1);
  t.pass("before the answer: the module's signal fires");

  const during = new AbortController();
  const response = await answer(modules, '/_synapse/client/endless', { signal: during.signal });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  during.abort();
  await eventually(() => said(modules, 'aborted').length === 2);
  await reader.cancel();
  await eventually(() => said(modules, 'cancelled').length === 1);
  t.pass('while the body streams: the same');

  const gone = await answer(modules, '/_synapse/client/endless');
  await (gone.body as ReadableStream<Uint8Array>).cancel();
  await eventually(() => said(modules, 'aborted').length === 3);
  t.pass('and when nobody reads the body any more');
});

t.test('bodies that are too large, or break off', async (t) => {
  const modules = await startWeb(
    t,
    [
      web('m', {
        '/_synapse/client/in': 'counts',
        '/_synapse/client/out': 'large',
        '/_synapse/client/broken': 'breaksOff',
      }),
    ],
    { webLimits: { request: MIB, response: MIB } },
  );
  const tooLarge = await answer(modules, '/_synapse/client/in', post(body(2 * MIB)));
  t.equal(tooLarge.status, 413);
  t.match(await tooLarge.json(), { errcode: 'M_TOO_LARGE' });
  const announced = await answer(modules, '/_synapse/client/in', {
    method: 'POST',
    body: 'x',
    headers: { 'content-length': String(2 * MIB) },
  });
  t.equal(announced.status, 413);
  t.equal(await (await answer(modules, '/_synapse/client/in', post(body(MIB)))).json(), MIB);

  await t.rejects(answer(modules, `/_synapse/client/out?bytes=${2 * MIB}`).then(sizeOf), /more than/);
  t.equal(await answer(modules, `/_synapse/client/out?bytes=${MIB}`).then(sizeOf), MIB);
  await t.rejects(answer(modules, '/_synapse/client/broken').then(sizeOf), /no more/);
  t.equal(await answer(modules, `/_synapse/client/out?bytes=10`).then(sizeOf), 10, 'it serves on');
});
