// Streams over records: never more under way than the receiver allowed, and an end of every kind reaches the other side.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { CHUNK_BYTES, RecordType, STREAM_WINDOW } from '../../packages/runtime/src/wire/record.ts';
import { StreamLimitError, Streams } from '../../packages/runtime/src/wire/streams.ts';

interface Crossed {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly aux: number;
  readonly body: Uint8Array;
}

/** Two ends, and everything that crosses between them. */
function connect() {
  const fromHost: Crossed[] = [];
  const fromCell: Crossed[] = [];
  const refused: Crossed[] = [];
  const encoder = new TextEncoder();
  const way = (log: Crossed[], other: () => Streams) => {
    return (type: number, flags: number, id: number, aux: number, body: Uint8Array | string = '') => {
      const record = { type, flags, id, aux, body: typeof body === 'string' ? encoder.encode(body) : body.slice() };
      log.push(record);
      queueMicrotask(() => {
        if (!other().accept(type, flags, id, aux, record.body)) refused.push(record);
      });
    };
  };
  const host: Streams = new Streams(
    way(fromHost, () => cell),
    0,
  );
  const cell: Streams = new Streams(
    way(fromCell, () => host),
    1,
  );
  return { host, cell, fromHost, fromCell, refused };
}

const bytesIn = (records: readonly Crossed[]): number =>
  records.reduce((sum, { type, body }) => sum + (type === RecordType.chunk ? body.length : 0), 0);

async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A source without an end, and how it ended. */
function endless(chunk = new Uint8Array(10_000)) {
  const seen = { cancelled: false, pulled: 0 };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        seen.pulled++;
        controller.enqueue(chunk);
      },
      cancel() {
        seen.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, seen };
}

t.test('any chunks arrive as they were, in pieces of a bounded size', async (t) => {
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(3 * CHUNK_BYTES)), { maxLength: 12 });
  const property = fc.asyncProperty(sizes, async (sizes) => {
    const chunks = sizes.map((size, index) => new Uint8Array(size).fill(index));
    const { host, cell, fromHost, refused } = connect();
    const received = cell.receive(host.send(ReadableStream.from(chunks)));
    assert.ok((await readAll(received)).equals(Buffer.concat(chunks)));
    assert.ok(fromHost.every(({ body }) => body.length <= CHUNK_BYTES));
    assert.deepEqual(refused, []);
  });
  await t.resolves(fc.assert(property, { numRuns: 50 }));
});

t.test('nothing crosses before it is read, and never more than the window unread', async (t) => {
  const { host, cell, fromHost, refused } = connect();
  const { stream, seen } = endless();
  const received = cell.receive(host.send(stream));
  await settle();
  t.equal(bytesIn(fromHost), 0);
  t.equal(seen.pulled, 0, 'the source is not even opened');

  const reader = received.getReader();
  let read = 0;
  for (let i = 0; i < 200; i++) {
    const { value } = await reader.read();
    read += value?.length ?? 0;
    await settle();
    const unread = bytesIn(fromHost) - read;
    if (unread > STREAM_WINDOW) t.fail(`${unread} bytes unread`);
  }
  t.ok(read > 4 * STREAM_WINDOW);
  t.strictSame(refused, []);
  await reader.cancel();
});

t.test('a source of small chunks does not cost a record of credit for each', async (t) => {
  const { host, cell, fromHost, fromCell } = connect();
  const source = async function* () {
    for (let i = 0; i < 200; i++) {
      yield new Uint8Array(10);
      await settle();
    }
  };
  t.equal((await readAll(cell.receive(host.send(ReadableStream.from(source()))))).length, 2000);
  t.ok(fromHost.length > 200);
  t.equal(fromCell.length, 1);
});

t.test('a reader that does not want the rest stops the source', async (t) => {
  const { host, cell, fromHost } = connect();
  const { stream, seen } = endless();
  const reader = cell.receive(host.send(stream)).getReader();
  await reader.read();
  await reader.cancel();
  await settle();
  t.ok(seen.cancelled);
  const sent = fromHost.length;
  await settle();
  t.equal(fromHost.length, sent, 'nothing more is sent');
});

t.test('a source that fails fails the reader, with its message', async (t) => {
  const { host, cell } = connect();
  const source = async function* () {
    yield new Uint8Array(5);
    throw new Error('the disk is gone');
  };
  const reader = cell.receive(host.send(ReadableStream.from(source()))).getReader();
  t.equal((await reader.read()).value?.length, 5);
  await t.rejects(reader.read(), { message: 'the disk is gone' });

  const text = ReadableStream.from(['no bytes']) as unknown as ReadableStream<Uint8Array>;
  await t.rejects(readAll(cell.receive(host.send(text))), { message: /Uint8Array/ });
});

t.test('a chunk beyond what was allowed is a violation, and so is an empty one', async (t) => {
  const { chunk } = RecordType;
  const streams = new Streams(() => {}, 0);
  const reader = streams.receive(3).getReader();
  t.notOk(streams.accept(chunk, 0, 3, 0, new Uint8Array(1)), 'before any credit');
  const reading = reader.read();
  await settle();
  for (let sent = 0; sent < STREAM_WINDOW; sent += CHUNK_BYTES) {
    t.ok(streams.accept(chunk, 0, 3, 0, new Uint8Array(CHUNK_BYTES)));
  }
  t.equal((await reading).value?.length, CHUNK_BYTES);
  t.notOk(streams.accept(chunk, 0, 3, 0, new Uint8Array(1)), 'beyond the window');
  t.notOk(streams.accept(chunk, 0, 3, 0, new Uint8Array(0)), 'endless nothing would cost something, too');
});

t.test('records about streams that are over, or never were, are no violation', async (t) => {
  const { chunk, end, pull, stop } = RecordType;
  const streams = new Streams(() => {}, 0);
  for (const type of [chunk, end, pull, stop]) t.ok(streams.accept(type, 0, 77, 1, new Uint8Array(1)));
  t.notOk(streams.accept(RecordType.answer, 0, 77, 1, new Uint8Array(1)), 'what is about no stream is one');
});

t.test('a peer cannot allow more than its own window times four', async (t) => {
  const sent: number[] = [];
  const streams = new Streams((type, _, __, ___, body) => {
    if (type === RecordType.chunk) sent.push((body as Uint8Array).length);
  }, 0);
  const { stream } = endless(new Uint8Array(CHUNK_BYTES));
  const id = streams.send(stream);
  streams.accept(RecordType.pull, 0, id, 0xffff_ffff, new Uint8Array());
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(
    sent.reduce((sum, size) => sum + size, 0),
    4 * STREAM_WINDOW,
  );
  streams.close(new Error('over'));
});

t.test('a stream that is longer than its limit ends, and its sender is told', async (t) => {
  const { host, cell, fromHost } = connect();
  const { stream, seen } = endless();
  const received = host.receive(cell.send(stream), { limit: 25_000 });
  await t.rejects(readAll(received), StreamLimitError);
  await settle();
  t.ok(fromHost.some(({ type }) => type === RecordType.stop));
  t.ok(seen.cancelled);

  const exact = host.receive(cell.send(ReadableStream.from([new Uint8Array(25_000)])), { limit: 25_000 });
  t.equal((await readAll(exact)).length, 25_000);
});

t.test('one stream is received once', async (t) => {
  const { host } = connect();
  host.receive(3);
  t.throws(() => host.receive(3), StreamLimitError);
});

t.test('ids of the two sides never meet', async (t) => {
  const { host, cell } = connect();
  const ids = (streams: Streams) => [1, 2, 3].map(() => streams.send(ReadableStream.from([])));
  t.ok(ids(host).every((id) => id % 2 === 0));
  t.ok(ids(cell).every((id) => id % 2 === 1));
});

t.test('the end of the channel ends every stream, and those that are begun afterwards', async (t) => {
  const { host } = connect();
  const sending = endless();
  host.send(sending.stream);
  const reading = host.receive(5).getReader().read();
  host.close(new Error('the module is gone'));
  await t.rejects(reading, { message: 'the module is gone' });
  await settle();
  t.ok(sending.seen.cancelled);

  const late = endless();
  host.send(late.stream);
  t.ok(late.seen.cancelled);
  await t.rejects(host.receive(7).getReader().read(), { message: 'the module is gone' });
});

t.test('a chunk is kept as it came, whatever its carrier writes over the memory that it came in', async (t) => {
  const { host } = connect();
  const reader = host.receive(3).getReader();
  const reading = reader.read();
  await settle();
  const memory = Buffer.from('as it came');
  t.ok(host.accept(RecordType.chunk, 0, 3, 0, memory));
  t.ok(host.accept(RecordType.chunk, 0, 3, 0, memory));
  memory.fill(0);
  t.equal(Buffer.from((await reading).value ?? []).toString(), 'as it came');
  t.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'as it came');
});
