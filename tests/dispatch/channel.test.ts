// The host's end of a cell that is hostile: what it may send, what is counted and dropped, what ends it.

import t from 'tap';
import { createCommonBudget } from '../../packages/runtime/src/dispatch/budget.ts';
import { Call, type Question, type RawAnswer } from '../../packages/runtime/src/dispatch/call.ts';
import { Channel, type ChannelEvents } from '../../packages/runtime/src/dispatch/channel.ts';
import { FrameReader, FrameWriter } from '../../packages/runtime/src/wire/frame.ts';
import { AnswerKind, HEADER_BYTES, RecordType, type WireRecord } from '../../packages/runtime/src/wire/record.ts';
import { turn } from './fakes.ts';

interface Sent extends Omit<WireRecord, 'body'> {
  readonly text: string;
}

/** A channel, and the hand of the cell that sits at its other end. */
function connect() {
  let receive: (bytes: Uint8Array) => void = () => {};
  let closed: () => void = () => {};
  const toCell: Sent[] = [];
  const violations: string[] = [];
  const logged: unknown[] = [];
  const reader = new FrameReader(
    () => Number.MAX_SAFE_INTEGER,
    ({ body, ...record }) => toCell.push({ ...record, text: Buffer.from(body).toString() }),
  );
  const carrier = {
    ended: false,
    write: (frame: Uint8Array) => {
      reader.push(frame);
      return true;
    },
    backlog: () => 0,
    onDrain: () => {},
    onBytes: (listener: (bytes: Uint8Array) => void) => {
      receive = listener;
    },
    onClose: (listener: () => void) => {
      closed = listener;
    },
    pause: () => true,
    resume: () => {},
    close: () => {
      carrier.ended = true;
      closed();
    },
  };
  const channel = new Channel(carrier, createCommonBudget());
  const events: ChannelEvents = {
    api: (message) => logged.push(message) > 0,
    log: (level, message, fields) => logged.push([level, message, fields]) > 0,
    violation: (message) => violations.push(message),
    drained: () => {},
    throttled: () => {},
  };
  channel.attach(events, 0.2);
  const cell = {
    send(type: number, flags: number, id: number, body = '') {
      const writer = new FrameWriter((frame) => {
        receive(frame);
        return true;
      });
      writer.push(type, flags, id, 0, Buffer.from(body));
      writer.flush();
    },
    sendBytes: (bytes: Uint8Array) => receive(bytes),
  };
  return { channel, cell, carrier, events, toCell, violations, logged };
}

function makeCall(): { readonly call: Call; readonly answers: RawAnswer[] } {
  const answers: RawAnswer[] = [];
  const question: Question = {
    callback: 'checkEventForSpam',
    callId: 'c1',
    live: new Map(),
    depth: 0,
    settled: (_, answer) => answers.push(answer),
  };
  const call = new Call(question, '{}', 1000);
  return { call, answers };
}

const { answer } = RecordType;

t.test('an answer settles its call, once', async (t) => {
  const { channel, cell } = connect();
  const { call, answers } = makeCall();
  channel.call(call, performance.now());
  cell.send(answer, AnswerKind.value, call.recordId, 'true');
  cell.send(answer, AnswerKind.value, call.recordId, 'false');
  t.strictSame(answers, [{ kind: 'value', text: 'true' }]);
  t.equal(channel.strays, 1, 'the second is counted and dropped');
});

t.test('answers to calls that were never made, or are over, are counted and dropped', async (t) => {
  const { channel, cell, toCell, carrier } = connect();
  const { call, answers } = makeCall();
  channel.call(call, performance.now());
  cell.send(answer, AnswerKind.value, call.recordId + 1, 'true');
  cell.send(answer, AnswerKind.value, 0, 'true');
  cell.send(answer, AnswerKind.value, 0xffff_ffff, 'true');
  channel.cancel(call, 'deadline');
  cell.send(answer, AnswerKind.value, call.recordId, 'true');
  t.strictSame(answers, []);
  t.equal(channel.strays, 4);
  t.notOk(carrier.ended);
  await new Promise(setImmediate);
  t.match(toCell, [
    { type: RecordType.call, id: call.recordId },
    { type: RecordType.cancel, id: call.recordId },
  ]);
});

t.test('to cancel a call of another channel cancels nothing here, whatever its id', async (t) => {
  const here = connect();
  const there = connect();
  const mine = makeCall();
  const other = makeCall();
  here.channel.call(mine.call, 0);
  there.channel.call(other.call, 0);
  t.equal(mine.call.recordId, other.call.recordId);
  here.channel.cancel(other.call, 'unneeded');
  here.cell.send(answer, AnswerKind.value, mine.call.recordId, 'true');
  t.strictSame(mine.answers, [{ kind: 'value', text: 'true' }]);
});

t.test('each kind of answer', async (t) => {
  const answerOf = (kind: number, body: string): RawAnswer | undefined => {
    const { channel, cell } = connect();
    const { call, answers } = makeCall();
    channel.call(call, performance.now());
    cell.send(answer, kind, call.recordId, body);
    return answers[0];
  };
  t.strictSame(answerOf(AnswerKind.nothing, ''), { kind: 'nothing' });
  t.match(answerOf(AnswerKind.tooLarge, ''), { failure: 'too_large' });
  t.match(answerOf(AnswerKind.unspeakable, 'a bigint'), { failure: 'wrong_type', message: /a bigint/ });
  t.match(answerOf(AnswerKind.threw, '{"name":"E","message":"m"}'), {
    kind: 'threw',
    error: { name: 'E', message: 'm' },
  });
  t.match(answerOf(AnswerKind.threw, '{"name":5,"message":null,"status":"x"}'), {
    kind: 'threw',
    error: { name: 'Error', message: '' },
  });
  t.match(answerOf(AnswerKind.threw, '"text"'), { failure: 'threw' });
});

t.test('a cell that breaks the protocol is cut off, and nothing that it sends then is read', async (t) => {
  const breaches: Readonly<Record<string, readonly [type: number, flags: number, id: number, body?: string]>> = {
    'a record that only the host sends': [RecordType.call, 0, 1, '{}'],
    'a record of no known type': [99, 0, 1],
    'a kind of answer that there is not': [answer, 9, 1, '{}'],
    'an error that is no JSON': [answer, AnswerKind.threw, 1, '{'],
    'a log level that there is not': [RecordType.log, 9, 0, '{"message":"x"}'],
    'a log line that is none': [RecordType.log, 1, 0, '{"message":1}'],
    'a log line that is no JSON': [RecordType.log, 1, 0, 'x'],
    'an API message that is no JSON': [RecordType.api, 0, 0, '{'],
    'an API message too deep': [RecordType.api, 0, 0, '['.repeat(200)],
    'a pong without figures': [RecordType.pong, 0, 1, '{}'],
    'a pong that is too long': [RecordType.pong, 0, 1, `{"heap":1,"external":1}${' '.repeat(2000)}`],
    'a chunk beyond its size': [RecordType.chunk, 0, 1, 'x'.repeat(65 * 1024)],
  };
  for (const [name, [type, flags, id, body]] of Object.entries(breaches)) {
    const { channel, cell, carrier, violations } = connect();
    const { call, answers } = makeCall();
    channel.call(call, performance.now());
    cell.send(type, flags, id, body);
    t.equal(violations.length, 1, name);
    t.ok(carrier.ended, 'the cell is cut off');
    t.ok(channel.closed);
    cell.send(answer, AnswerKind.value, call.recordId, 'true');
    t.strictSame(answers, [], 'and not heard any more');
    t.equal(violations.length, 1);
  }
});

t.test('a record that is too large is refused by its header, before its body has come', async (t) => {
  const largest = { [answer]: 2 * 1024 * 1024, [RecordType.pong]: 1024, [RecordType.pull]: 0, 99: -1 };
  for (const [type, limit] of Object.entries(largest)) {
    const { cell, violations } = connect();
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(limit + 1, 0);
    header[4] = Number(type);
    cell.sendBytes(header);
    t.match(violations, [`a record of type ${type} with ${limit + 1} bytes`]);
  }
});

t.test('nothing of a frame is heard after the record that made the host end the cell', async (t) => {
  const { channel, cell, events, logged } = connect();
  const { call, answers } = makeCall();
  channel.call(call, performance.now());
  const api = (): boolean => {
    channel.close();
    return true;
  };
  channel.attach({ ...events, api }, 0.2);
  const frames: Uint8Array[] = [];
  const writer = new FrameWriter((frame) => frames.push(frame) < 0);
  writer.push(RecordType.api, 0, 0, 0, Buffer.from('{}'));
  writer.push(RecordType.log, 1, 0, 0, Buffer.from('{"message":"x"}'));
  writer.push(answer, AnswerKind.value, call.recordId, 0, Buffer.from('true'));
  writer.flush();
  cell.sendBytes(Buffer.concat(frames));
  t.strictSame([logged, answers], [[], []]);
});

t.test('what was asked is settled when the cell is gone', async (t) => {
  const { channel, carrier } = connect();
  const before = channel.ask(RecordType.request, '{}');
  carrier.close();
  t.match(await before.answer, { failure: 'crashed' });
  t.match(await channel.ask(RecordType.request, '{}').answer, { failure: 'crashed' });
  await channel.ended;
  await turn();
});

t.test('calls of a lost cell are given back', async (t) => {
  const { channel, carrier } = connect();
  const calls = [makeCall().call, makeCall().call];
  for (const call of calls) channel.call(call, performance.now());
  carrier.close();
  t.strictSame(channel.takePending(), calls);
  t.strictSame(channel.takePending(), []);
});
