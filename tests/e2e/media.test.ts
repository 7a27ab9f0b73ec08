// Files that are larger than is comfortable for the cells that look at them: 50 MB, read whole by four modules of 64 MiB.

import type { Modules } from '@bulkhead/runtime';
import t from 'tap';
import type { Client } from '../homeserver/client.ts';
import { Checksum } from './fixtures/checksum.ts';
import { fixtures, type Logged, startHomeserver } from './harness.ts';

const SIZE = 50_000_000;
const CHUNK = 100_000;

/** Notes which modules have a file opened, and changes nothing about it. */
function countingOpens(modules: Modules, count: () => void): Modules {
  const { checkMediaFileForSpam } = modules.spamChecker;
  return {
    ...modules,
    spamChecker: {
      ...modules.spamChecker,
      checkMediaFileForSpam: ({ size, open }, ...rest) => {
        const source = {
          size,
          open: () => {
            count();
            return open();
          },
        };
        return checkMediaFileForSpam(source, ...rest);
      },
    },
  };
}

/** A file that is made as it is sent, so that this process need not hold it. */
function generated(size: number) {
  const checksum = new Checksum();
  let at = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = Buffer.alloc(Math.min(CHUNK, size - at), `chunk ${at} `);
        checksum.update(chunk);
        controller.enqueue(new Uint8Array(chunk));
        at += chunk.length;
        if (at === size) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return { body, checksum };
}

async function upload(client: Client, body: ReadableStream<Uint8Array>): Promise<string> {
  const response = await fetch(`${client.url}/_matrix/media/v3/upload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${client.accessToken}`, 'content-type': 'application/octet-stream' },
    body,
    duplex: 'half',
  } as RequestInit);
  const answer = (await response.json()) as { content_uri?: string };
  if (answer.content_uri === undefined) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
  return answer.content_uri;
}

const readings = (logged: readonly Logged[]) =>
  logged
    .filter(({ message }) => message === 'a file was read')
    .map(({ fields }) => ({ module: fields.module, ...(fields.fields as Reading) }));

interface Reading {
  readonly how: string;
  readonly size: number;
  readonly read: number;
  readonly sum: number;
}

/** By how much the resident memory of this process, which is the host's, was above what it was before. */
async function growthWhile(running: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 20);
  await running.finally(() => clearInterval(watch));
  return most - before;
}

t.test('50 MB, read whole by four modules of 64 MiB', async (t) => {
  let opened = 0;
  const around = (modules: Modules) => countingOpens(modules, () => opened++);
  const server = await startHomeserver(t, `${fixtures}media-readers.yaml`, { around });
  const alice = await server.register('alice');
  // What is loaded or compiled for the first time is not the file's.
  await upload(alice, generated(2 * CHUNK).body);
  t.equal(opened, 4);
  opened = 0;
  const already = server.logged.length;

  const file = generated(SIZE);
  let mxc = '';
  const growth = await growthWhile(
    upload(alice, file.body).then((uri) => {
      mxc = uri;
    }),
  );
  const sum = file.checksum.value;
  t.comment(`resident memory grew by ${Math.round(growth / 1e6)} MB`);
  t.ok(growth < 150e6, 'the file was not collected in memory');
  t.equal(opened, 4, 'opened once for each module that reads');

  const read = readings(server.logged.slice(already));
  t.equal(read.length, 4);
  for (const reading of read) t.match(reading, { size: SIZE, read: SIZE, sum }, String(reading.module));
  t.match(
    server.modules.status().map(({ id, state, restarts, failures }) => ({ id, state, restarts, failures })),
    ['streams-1', 'streams-2', 'streams-3', 'reads'].map((id) => ({ id, state: 'running', restarts: 0, failures: {} })),
    'nothing has died',
  );

  const download = await alice.download(mxc);
  const served = new Checksum();
  for await (const chunk of download.body as unknown as AsyncIterable<Uint8Array>) served.update(chunk);
  t.equal(served.value, sum, 'and is served as it was');
});

t.test('a module that has seen enough, and two that do not look', async (t) => {
  let opened = 0;
  const around = (modules: Modules) => countingOpens(modules, () => opened++);
  const server = await startHomeserver(t, `${fixtures}media-glancers.yaml`, { around });
  const alice = await server.register('alice');
  await upload(alice, generated(5_000_000).body);
  t.equal(opened, 1, 'opened for the one that reads');
  const read = readings(server.logged);
  t.equal(read.length, 3);
  const looked = read.find(({ how }) => how === 'first chunk');
  t.ok(Number(looked?.read) > 0 && Number(looked?.read) < 1_000_000, `${looked?.read} bytes crossed`);

  await server.modules.reload(`${fixtures}media-nobody.yaml`);
  opened = 0;
  await upload(alice, generated(5_000_000).body);
  t.equal(opened, 0, 'never opened if nobody reads');
});
