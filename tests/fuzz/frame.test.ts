// Bytes from a hostile cell, cut anywhere: what the frame reader and the host's end of the channel make of them, against a
// model that sees all bytes at once.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { createCommonBudget } from '../../packages/runtime/src/dispatch/budget.ts';
import { type AskedAnswer, Call, type Question, type RawAnswer } from '../../packages/runtime/src/dispatch/call.ts';
import { Channel, type ChannelEvents } from '../../packages/runtime/src/dispatch/channel.ts';
import { layers } from '../../packages/runtime/src/layers.ts';
import { FrameReader, ProtocolViolation } from '../../packages/runtime/src/wire/frame.ts';
import { HEADER_BYTES, RecordType, type WireRecord } from '../../packages/runtime/src/wire/record.ts';
import { holds, RUNS } from './harness.ts';

// What a cell may take of the host's time depends on the machine; tests/dispatch has tests of it.
layers.takeOff('host_time');

const KIBIBYTE = 1024;

/** What docs and record.ts say of a cell's records, said once more. */
const LIMITS = new Map<number, number>([
  [RecordType.ready, KIBIBYTE],
  [RecordType.answer, 2 * KIBIBYTE * KIBIBYTE],
  [RecordType.pong, KIBIBYTE],
  [RecordType.log, 64 * KIBIBYTE],
  [RecordType.api, 2 * KIBIBYTE * KIBIBYTE],
  [RecordType.chunk, 64 * KIBIBYTE],
  [RecordType.end, 4 * KIBIBYTE],
  [RecordType.pull, 0],
  [RecordType.stop, 0],
]);
const limitOf = (type: number): number => LIMITS.get(type) ?? -1;

interface Piece {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly aux: number;
  readonly body: string;
  /** What the header says of the body's length, as a difference to the truth. */
  readonly lie: number;
}

const CALLS = 3;
const bodies = [
  '',
  '',
  'true',
  '{"name":"E","message":"m","issues":[{"message":"x","path":["a",0]}]}',
  '{"name":5,"stack":{},"issues":7}',
  '{"__proto__":{"kind":"value"},"message":1}',
  '{"message":"a line","fields":{"a":[1]}}',
  '{"message":1}',
  '{"heap":1,"external":2}',
  '{"heap":"1"}',
  '{"id":"1","type":"APPLY","path":["x"],"argumentList":[]}',
  '[[[[',
  '"\ud800"',
  '['.repeat(101) + ']'.repeat(101),
  'null',
  '{"threadId":7}',
  'x'.repeat(300),
];
const type = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...LIMITS.keys()) },
  { weight: 6, arbitrary: fc.constant(RecordType.answer) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const id = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: CALLS + 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 6, 7, 0xffff_ffff) },
);
const piece: fc.Arbitrary<Piece> = fc.record(
  {
    type,
    flags: fc.oneof({ weight: 8, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat(255) }),
    id,
    aux: fc.constantFrom(0, 1, 65_536, 0xffff_ffff),
    body: fc.constantFrom(...bodies),
    lie: fc.oneof(
      { weight: 30, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.constantFrom(-1, 1, 17, 70_000, 3_000_000, 0xffff_0000) },
    ),
  },
  { noNullPrototype: true },
);
const raw = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const frames = fc
  .array(fc.oneof({ weight: 12, arbitrary: piece.map(encode) }, { weight: 1, arbitrary: raw }), { maxLength: 8 })
  .map((pieces) => Buffer.concat(pieces));
const cuts = fc.array(fc.oneof(fc.nat(20), fc.nat(400)), { maxLength: 8 });

function encode({ type, flags, id, aux, body, lie }: Piece): Buffer {
  const text = Buffer.from(body);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(Math.min(0xffff_ffff, Math.max(0, text.length + lie)), 0);
  header[4] = type;
  header[5] = flags;
  header.writeUInt32LE(id, 8);
  header.writeUInt32LE(aux, 12);
  return Buffer.concat([header, text]);
}

/** Gives bytes in pieces, each in a buffer that its carrier takes back afterwards. */
function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let offset = 0;
  for (const size of [...sizes, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(offset, offset + size));
    yield chunk;
    chunk.fill(0xff);
    offset += chunk.length;
  }
}

type Kept = Pick<WireRecord, 'type' | 'flags' | 'id' | 'aux' | 'body'>;

const isPacked = (body: Uint8Array): boolean =>
  body.length >= 4 && new DataView(body.buffer, body.byteOffset).getUint32(0) <= body.length - 4;

/** All records up to the first that must not be. */
function records(bytes: Buffer): { readonly records: readonly Kept[]; readonly violated: boolean } {
  const found: Kept[] = [];
  for (let rest = bytes; rest.length >= HEADER_BYTES; ) {
    const length = rest.readUInt32LE(0);
    const type = rest[4] as number;
    if (length > limitOf(type)) return { records: found, violated: true };
    const end = HEADER_BYTES + length;
    if (rest.length < end) break;
    found.push({
      type,
      flags: rest[5] as number,
      id: rest.readUInt32LE(8),
      aux: rest.readUInt32LE(12),
      body: Uint8Array.from(rest.subarray(HEADER_BYTES, end)),
    });
    rest = rest.subarray(end);
  }
  return { records: found, violated: false };
}

t.test('the reader delivers every record before a violation exactly, and nothing after it', async (t) => {
  const property = fc.property(frames, cuts, fc.nat(5), (bytes, sizes, pauseAfter) => {
    const received: WireRecord[] = [];
    let paused = false;
    const reader = new FrameReader(limitOf, (record) => {
      assert.equal(paused, false, 'nothing while it is paused');
      received.push({ ...record, body: Uint8Array.from(record.body) });
      if (received.length % (pauseAfter + 1) !== pauseAfter) return;
      reader.pause();
      paused = true;
    });
    let violated = false;
    for (const chunk of cut(bytes, sizes)) {
      try {
        reader.push(chunk);
        // Half of the pauses last until the next chunk has come.
        while (paused && pauseAfter % 2 === 0) {
          paused = false;
          reader.resume();
        }
      } catch (error) {
        assert.equal(error instanceof ProtocolViolation, true);
        violated = true;
        break;
      }
    }
    while (paused && !violated) {
      paused = false;
      try {
        reader.resume();
      } catch {
        violated = true;
      }
    }
    const expected = records(bytes);
    assert.equal(violated, expected.violated);
    assert.deepEqual(received, expected.records);
  });
  await holds(t, property, { numRuns: RUNS / 2 });
});

/** Whether the text is JSON that the host parses, and what it says. */
function json(body: Uint8Array): { readonly value: unknown } | undefined {
  const text = Buffer.from(body).toString();
  // Among the bodies above nothing else is as deep.
  if (text.startsWith('['.repeat(101))) return undefined;
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** What a channel with calls and a question under way has to make of the bytes. */
class Model {
  readonly settled = new Map<number, string>();
  readonly api: unknown[] = [];
  readonly logged: unknown[] = [];
  strays = 0;
  pongs = 0;
  violated = false;
  #wasReady = false;

  constructor(bytes: Buffer) {
    const read = records(bytes);
    for (const record of read.records) {
      if (this.#accepts(record)) continue;
      this.violated = true;
      return;
    }
    this.violated = read.violated;
  }

  #accepts({ type, flags, id, body }: Kept): boolean {
    const parsed = json(body);
    switch (type) {
      case RecordType.answer: {
        if (id < 1 || id > CALLS + 1 || this.settled.has(id)) {
          this.strays++;
          return true;
        }
        const kind = ['value', 'nothing', 'threw', 'failed', 'failed', 'value', 'packed'][flags];
        if (kind === undefined || (kind === 'threw' && parsed === undefined)) return false;
        if (kind === 'packed' && (id <= CALLS || !isPacked(body))) return false;
        const isError = typeof parsed?.value === 'object' && parsed.value !== null && !Array.isArray(parsed.value);
        this.settled.set(id, kind === 'threw' && !isError ? 'failed' : kind);
        return true;
      }
      case RecordType.api:
        if (parsed) this.api.push(parsed.value);
        return parsed !== undefined;
      case RecordType.log: {
        const { message } = (parsed?.value ?? {}) as { readonly message?: unknown };
        if (typeof message !== 'string' || flags > 3) return false;
        this.logged.push(message);
        return true;
      }
      case RecordType.pong: {
        const { heap, external } = (parsed?.value ?? {}) as { readonly heap?: unknown; readonly external?: unknown };
        if (typeof heap !== 'number' || typeof external !== 'number') return false;
        if (id === CALLS + 2) this.pongs = 1;
        return true;
      }
      case RecordType.ready: {
        if (this.#wasReady) return true;
        this.#wasReady = true;
        if (typeof parsed?.value !== 'object' || parsed.value === null) return false;
        const { threadId = 1 } = parsed.value as { readonly threadId?: unknown };
        return typeof threadId === 'number' && threadId >= 1;
      }
      default:
        // Streams that nobody opened: what was under way when they ended.
        return true;
    }
  }
}

const commonBudget = createCommonBudget();

t.test('a channel settles what was asked, once, by its own id, and whatever comes throws nothing', async (t) => {
  const property = fc.asyncProperty(frames, cuts, async (bytes, sizes) => {
    let receive: (bytes: Uint8Array) => void = () => {};
    let closed: () => void = () => {};
    const channel = new Channel(
      {
        write: () => true,
        backlog: () => 0,
        onDrain: () => {},
        onBytes: (listener) => {
          receive = listener;
        },
        onClose: (listener) => {
          closed = listener;
        },
        pause: () => true,
        resume: () => {},
        close: () => closed(),
      },
      commonBudget,
    );
    const api: unknown[] = [];
    const logged: unknown[] = [];
    const violations: string[] = [];
    const events: ChannelEvents = {
      api: (message) => api.push(message) > 0,
      log: (_, message) => logged.push(message) > 0,
      violation: (message) => violations.push(message),
      throttled: () => {},
      drained: () => {},
    };
    channel.attach(events, 0.2);
    const settled: (readonly [number, string])[] = [];
    for (let id = 1; id <= CALLS; id++) {
      channel.call(
        callFor((answer) => settled.push([id, answer.kind])),
        0,
      );
    }
    const asked = channel.ask(RecordType.request, '{}');
    let answered: AskedAnswer | undefined;
    void asked.answer.then((answer) => {
      answered = answer;
    });
    let pongs = 0;
    void channel.ping().then(() => pongs++);

    for (const chunk of cut(bytes, sizes)) receive(chunk);
    receive(encode({ type: RecordType.answer, flags: 1, id: 0, aux: 0, body: '', lie: 0 }));
    await new Promise(setImmediate);

    // The last record was a whole one: it is heard as a stray, unless it only completed one that had begun.
    const whole = Buffer.concat([
      bytes,
      encode({ type: RecordType.answer, flags: 1, id: 0, aux: 0, body: '', lie: 0 }),
    ]);
    const model = new Model(whole);
    assert.equal(violations.length, model.violated ? 1 : 0);
    assert.equal(channel.closed, model.violated);
    assert.equal(channel.strays, model.strays);
    assert.equal(pongs, model.pongs);
    assert.deepEqual(logged, model.logged);
    assert.deepEqual(api.length, model.api.length);
    assert.deepEqual(
      settled,
      [...model.settled].filter(([id]) => id <= CALLS),
    );
    const unasked = model.violated ? 'failed' : undefined;
    assert.equal(answered?.kind, model.settled.get(CALLS + 1) ?? unasked);
    assert.equal(channel.inFlight, CALLS - settled.length);
  });
  await holds(t, property, { numRuns: RUNS / 2 });
});

function callFor(settled: (answer: RawAnswer) => void): Call {
  const question: Question = {
    callback: 'checkEventForSpam',
    callId: 'c1',
    live: new Map(),
    depth: 0,
    settled: (_, answer) => settled(answer),
  };
  return new Call(question, '{}', 1000);
}
