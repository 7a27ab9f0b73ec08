// Records to bytes and back, cut wherever the carrier likes.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { FrameReader, FrameWriter, ProtocolViolation } from '../../packages/runtime/src/wire/frame.ts';
import { HEADER_BYTES, RecordType, type WireRecord } from '../../packages/runtime/src/wire/record.ts';
import { leaveSoon } from '../../packages/runtime/src/wire/turn.ts';

type Kept = Pick<WireRecord, 'type' | 'flags' | 'id' | 'aux' | 'body'>;

const uint32 = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff }));
const record: fc.Arbitrary<Kept> = fc.record(
  {
    type: fc.nat(255),
    flags: fc.nat(255),
    id: uint32,
    aux: uint32,
    body: fc.uint8Array({ maxLength: 300 }),
  },
  { noNullPrototype: true },
);

function framed(records: readonly Kept[]): Buffer {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0);
  for (const { type, flags, id, aux, body } of records) writer.push(type, flags, id, aux, body);
  writer.flush();
  assert.ok(frames.length <= 1, 'one frame');
  return Buffer.concat(frames);
}

/** Reads bytes in pieces, each in a buffer that its carrier takes back afterwards. */
function read(bytes: Buffer, sizes: Iterable<number>): Kept[] {
  const records: Kept[] = [];
  const reader = new FrameReader(
    () => 1000,
    (record) => records.push({ ...record, body: Uint8Array.from(record.body) }),
  );
  let offset = 0;
  for (const size of sizes) {
    const chunk = Buffer.from(bytes.subarray(offset, offset + size));
    reader.push(chunk);
    chunk.fill(0xff);
    offset += chunk.length;
  }
  reader.push(bytes.subarray(offset));
  return records;
}

t.test('any records, in any pieces, arrive as they were', async (t) => {
  const property = fc.property(fc.array(record, { maxLength: 12 }), fc.array(fc.nat(200)), (records, sizes) => {
    const bytes = framed(records);
    assert.deepEqual(read(bytes, sizes), records);
    assert.deepEqual(read(bytes, Array(bytes.length).fill(1)), records, 'byte by byte');
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test('text and bytes of any length, and memory that is written again only when it is free', async (t) => {
  const long = fc.nat(200_000).map((length) => 'é漢𝄞'.repeat(Math.ceil(length / 4)).slice(0, length));
  const bodies = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array(), long), { maxLength: 70 });
  const property = fc.property(bodies, fc.infiniteStream(fc.boolean()), (bodies, answers) => {
    let frames: Uint8Array[] = [];
    const writer = new FrameWriter((frame) => {
      frames.push(frame);
      const areFree = answers.next().value;
      if (areFree) frames = frames.map((frame) => Uint8Array.from(frame));
      return areFree;
    });
    for (const [id, body] of bodies.entries()) {
      writer.push(1, 0, id, 0, body);
      if (answers.next().value) writer.flush();
    }
    writer.flush();
    assert.equal(writer.pending, 0);
    const received: string[] = [];
    const reader = new FrameReader(
      () => 1_000_000,
      ({ body }) => received.push(Buffer.from(body).toString('hex')),
    );
    for (const frame of frames) reader.push(frame);
    assert.deepEqual(
      received,
      bodies.map((body) => Buffer.from(body as string).toString('hex')),
    );
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 50 }));
});

t.test('a turn with many calls does not keep them all until its end', async (t) => {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0);
  for (let id = 0; id < 100; id++) writer.push(RecordType.call, 0, id, 0, undefined);
  t.ok(frames.length > 0 && writer.pending > 0, `${frames.length} frames`);
});

t.test('a body that is absent is an empty one', async (t) => {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0);
  writer.push(1, 2, 3, 4, undefined);
  writer.flush();
  t.equal(frames[0]?.length, HEADER_BYTES);
  writer.flush();
  t.equal(frames.length, 1, 'nothing is not written');
});

t.test('records of one turn leave as one frame, after the microtasks of that turn', async (t) => {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0);
  writer.push(1, 0, 1, 0, undefined);
  void Promise.resolve().then(() => writer.push(1, 0, 2, 0, undefined));
  t.equal(frames.length, 0);
  await new Promise(setImmediate);
  t.strictSame(
    frames.map(({ length }) => length),
    [2 * HEADER_BYTES],
  );
  writer.push(1, 0, 3, 0, undefined);
  await new Promise(setImmediate);
  t.equal(frames.length, 2);
});

t.test('what comes from many sockets in one turn shares a frame, and a lone record leaves at once', async (t) => {
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0, leaveSoon);
  const pushApart = (count: number): void => {
    for (let id = 1; id <= count; id++) setImmediate(() => writer.push(1, 0, id, 0, undefined));
  };
  const lengths = (): number[] => frames.splice(0).map(({ length }) => length / HEADER_BYTES);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  writer.push(1, 0, 1, 0, undefined);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  t.strictSame(lengths(), [1], 'before the turn is over');
  await turn();
  await turn();

  pushApart(8);
  await turn();
  await turn();
  t.strictSame(lengths(), [1, 7], 'the first at once, the others at the end of the turn');
  writer.push(1, 0, 9, 0, undefined);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  t.strictSame(lengths(), [], 'and in the turn after a full one even the first waits for the others');
  await turn();
  t.strictSame(lengths(), [1]);
  await turn();
  await turn();
  pushApart(1);
  await turn();
  t.strictSame(lengths(), [1], 'after a quiet turn a lone one leaves at once again');
});

t.test('a size is checked in the header, before anything of the body has come', async (t) => {
  const limits: Readonly<Record<number, number>> = { 1: 10, 2: 0 };
  const pushing = (type: number, length: number) => () => {
    const received: Kept[] = [];
    const reader = new FrameReader(
      (type) => limits[type] ?? -1,
      (record) => received.push(record),
    );
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(length, 0);
    header[4] = type;
    reader.push(header.subarray(0, 7));
    reader.push(header.subarray(7));
  };
  t.doesNotThrow(pushing(1, 10));
  t.throws(pushing(1, 11), ProtocolViolation);
  t.doesNotThrow(pushing(2, 0));
  t.throws(pushing(2, 1), ProtocolViolation);
  t.throws(pushing(3, 0), ProtocolViolation, 'a type that the peer may not send, without any body');
  t.throws(pushing(1, 0xffff_ffff), ProtocolViolation);
});

t.test('a large body in small pieces takes no time', async (t) => {
  const body = new Uint8Array(4 << 20).fill(7);
  const bytes = framed([{ type: 1, flags: 0, id: 1, aux: 0, body }]);
  let received = 0;
  const reader = new FrameReader(
    () => body.length,
    (record) => {
      received = record.body.length;
    },
  );
  const startedAt = performance.now();
  for (let offset = 0; offset < bytes.length; offset += 1024) reader.push(bytes.subarray(offset, offset + 1024));
  t.equal(received, body.length);
  t.ok(performance.now() - startedAt < 500);
});

t.test('what comes in the smallest pieces, or in empty ones, costs no more memory than the record', async (t) => {
  const reader = new FrameReader(
    () => 1000,
    () => {},
  );
  const piece = new Uint8Array(1);
  const nothing = new Uint8Array(0);
  reader.push(piece);
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 1_000_000; i++) reader.push(nothing);
  // Held for ever, each would be an object of about a hundred bytes.
  t.ok(process.memoryUsage().heapUsed - before < 50 << 20);
});
