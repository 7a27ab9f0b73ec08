// The host's end of one cell: ids, pending calls, streams. Whatever comes out of the cell is hostile bytes; an id that is
// unknown, late or answered already is counted and dropped, and a record that the protocol does not know ends the channel.

import * as v from 'valibot';
import { layers } from '../layers.js';
import type { Carrier } from '../wire/carrier.js';
import { type Body, FrameReader, FrameWriter, ProtocolViolation } from '../wire/frame.js';
import { unpack } from '../wire/packed.js';
import {
  ALLOWED,
  AnswerKind,
  CHUNK_BYTES,
  logLevels,
  RecordType,
  type ThrownError,
  type WireRecord,
} from '../wire/record.js';
import { Streams } from '../wire/streams.js';
import { leaveSoon } from '../wire/turn.js';
import type { Bucket } from './bucket.js';
import { Budget } from './budget.js';
import type { AskedAnswer, Call, RawAnswer } from './call.js';
import { parseHostile } from './hostile.js';
import { PendingCalls } from './pending.js';

export interface ChannelEvents {
  /** Comlink's messages. @returns whether it was taken: what is refused is a waste of the host's time */
  api(message: unknown): boolean;
  /** @returns whether the line was written */
  log(level: (typeof logLevels)[number], message: string, fields: unknown): boolean;
  /** The cell has used up its share of the host's time and is not read for a while. */
  throttled(): void;
  violation(message: string): void;
  /** The cell has taken what it was sent. */
  drained(): void;
}

const KIBIBYTE = 1024;

/** The largest body of each record that a cell may send; what is not here it may not send. */
const LIMITS: Readonly<Record<number, number>> = {
  [RecordType.ready]: KIBIBYTE,
  // The bootstrap lets nothing larger out; a row's own limit is checked against the pending call.
  [RecordType.answer]: 2 * KIBIBYTE * KIBIBYTE,
  [RecordType.pong]: KIBIBYTE,
  [RecordType.log]: 64 * KIBIBYTE,
  [RecordType.api]: 2 * KIBIBYTE * KIBIBYTE,
  [RecordType.chunk]: CHUNK_BYTES,
  [RecordType.end]: 4 * KIBIBYTE,
  [RecordType.pull]: 0,
  [RecordType.stop]: 0,
};

/** What it costs to get a record here, besides what is done with it: a plain reader takes some 300 MB a second. */
const READ_MS = 0.001;
const READ_MS_PER_BYTE = 3.3e-6;
/** How long one cell is read before others have their turn. */
const TURN_MS = 4;
const MOST_ISSUES = 50;
const ConfigIssue = v.object({ message: v.string(), path: v.array(v.union([v.string(), v.number()])) });

const Thrown = v.object({
  name: v.optional(v.fallback(v.string(), 'Error'), 'Error'),
  message: v.optional(v.fallback(v.string(), ''), ''),
  stack: v.optional(v.fallback(v.string(), '')),
  issues: v.optional(v.fallback(v.pipe(v.array(ConfigIssue), v.maxLength(MOST_ISSUES)), []), []),
  status: v.optional(v.unknown()),
  errcode: v.optional(v.unknown()),
  extra: v.optional(v.unknown()),
});

const LogLine = v.object({ message: v.string(), fields: v.optional(v.unknown()) });

const Ready = v.object({ threadId: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))) });

const Pong = v.object({ heap: v.number(), external: v.number() });
export type Pong = v.InferOutput<typeof Pong>;

type Asked = { readonly answered: (answer: AskedAnswer) => void };

export class Channel {
  readonly streams: Streams;
  /** The system's number of the cell's thread, as the cell told it before it was given a module. */
  threadId: number | undefined;
  /** Answers that nobody waited for. */
  strays = 0;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  readonly #carrier: Carrier;
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  readonly #commonBudget: Bucket;
  #budget: Budget | undefined;
  #resumption: NodeJS.Timeout | undefined;
  #events: ChannelEvents | undefined;
  readonly #calls = new PendingCalls();
  readonly #asked = new Map<number, Asked>();
  readonly #pings = new Map<number, (pong: Pong) => void>();
  #isReady: () => void = () => {};
  #closedNow: () => void = () => {};
  #lastId = 0;
  #wasReady = false;
  /** When bytes came last, on the clock of `performance.now()`, and what was spent on them. */
  #readAt = 0;
  #turnMs = 0;
  #closed = false;

  constructor(carrier: Carrier, commonBudget: Bucket) {
    this.#carrier = carrier;
    this.#commonBudget = commonBudget;
    this.#writer = new FrameWriter(
      (frame) => carrier.write(frame),
      // A lone call need not know where a turn ends.
      (flush) => (this.#calls.size + this.#asked.size > 1 ? leaveSoon(flush) : process.nextTick(flush)),
    );
    this.streams = new Streams((type, flags, id, aux, body) => this.#send(type, flags, id, aux, body), 0);
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#closedNow = resolve;
    });
    this.#reader = new FrameReader(
      (type) => (layers.has('record_limits') ? (LIMITS[type] ?? -1) : Number.POSITIVE_INFINITY),
      (record) => this.#receive(record),
    );
    carrier.onBytes((bytes) => {
      this.#read(() => this.#reader.push(bytes));
    });
    carrier.onDrain(() => this.#events?.drained());
    carrier.onClose(() => {
      this.#closed = true;
      clearTimeout(this.#resumption);
      this.streams.close(new Error('the module is gone'));
      for (const { answered } of this.#asked.values()) {
        answered({ kind: 'failed', failure: 'crashed', message: 'the cell was lost' });
      }
      this.#asked.clear();
      this.#closedNow();
    });
  }

  /**
   * A cell waits as a spare before a module is given to it; until then nothing but `ready` is expected of it.
   *
   * @param hostTime the share of the host's time that it may take unasked
   */
  attach(events: ChannelEvents, hostTime: number): void {
    this.#events = events;
    this.#budget = new Budget(hostTime, this.#commonBudget);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that the cell has not taken yet, as far as can be told. */
  get backlog(): number {
    return this.#writer.pending + this.#carrier.backlog();
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  /** Sends a call whose body is there; its answer settles it. */
  call(call: Call, now: number): void {
    const id = this.#nextId();
    call.recordId = id;
    this.#calls.add(call);
    this.#writer.push(RecordType.call, call.attempt, id, Math.ceil(call.msLeftAt(now)), call.body as Body);
  }

  /** The pending call of that id, if the cell still has one: what it may ask for is what came with the call. */
  pending(id: number): Call | undefined {
    return this.#calls.get(id);
  }

  /** Takes the calls that were not answered; the channel forgets them. */
  takePending(): Call[] {
    return this.#calls.takeAll();
  }

  /** The depth of the deepest pending call in a chain of calls that modules caused. */
  get deepest(): number {
    return this.#calls.deepest;
  }

  /** Tells the cell that nobody waits for the call any more, and forgets it. */
  cancel(call: Call, reason: 'deadline' | 'unneeded'): void {
    // Ids are a channel's own: on another one the same id is another call.
    if (this.#calls.get(call.recordId) !== call) return;
    this.#calls.delete(call);
    this.#send(RecordType.cancel, reason === 'deadline' ? 0 : 1, call.recordId, 0);
  }

  /** Asks the cell something else than a callback. */
  ask(type: number, body: Body): { readonly id: number; readonly answer: Promise<AskedAnswer>; cancel(): void } {
    const id = this.#nextId();
    const answer = new Promise<AskedAnswer>((answered) => {
      if (this.#closed) answered({ kind: 'failed', failure: 'crashed', message: 'the cell was lost' });
      else this.#asked.set(id, { answered });
    });
    this.#send(type, 0, id, 0, body);
    return {
      id,
      answer,
      // An answer may go on after its head: what is over for the cell it ignores.
      cancel: () => {
        this.#asked.delete(id);
        this.#send(RecordType.cancel, 1, id, 0);
      },
    };
  }

  /** Resolves when the cell's event loop has turned. */
  ping(): Promise<Pong> {
    const id = this.#nextId();
    return new Promise((resolve) => {
      this.#pings.set(id, resolve);
      this.#send(RecordType.ping, 0, id, 0);
      this.#writer.flush();
    });
  }

  sendApi(message: string): void {
    this.#send(RecordType.api, 0, 0, 0, message);
  }

  close(): void {
    this.#closed = true;
    this.#carrier.close();
  }

  #nextId(): number {
    // 32 bits on the wire: after four billion calls ids begin anew, long after the first were answered.
    this.#lastId = (this.#lastId % 0xffff_fffe) + 1;
    return this.#lastId;
  }

  #send(type: number, flags: number, id: number, aux: number, body?: Body): void {
    if (!this.#closed) this.#writer.push(type, flags, id, aux, body);
  }

  #read(read: () => void): void {
    if (this.#closed) return;
    this.#readAt = performance.now();
    this.#turnMs = 0;
    try {
      read();
    } catch (error) {
      this.#violate(error instanceof Error ? error.message : 'unreadable bytes');
    }
  }

  #receive(record: WireRecord): void {
    // What one record of a frame caused may have ended the cell; the others are not heard.
    if (this.#closed) return;
    if (record.type === RecordType.answer && this.#answer(record)) return;
    const startedAt = performance.now();
    const isUseful = record.type !== RecordType.answer && this.#receiveUnasked(record);
    const ms = performance.now() - startedAt + READ_MS + record.length * READ_MS_PER_BYTE;
    const budget = this.#budget;
    if (budget === undefined || !layers.has('host_time')) return;
    budget.spend(ms);
    if (!isUseful && budget.waste(ms)) throw new ProtocolViolation('it floods the host');
    this.#turnMs += ms;
    const { pauseMs } = budget;
    if (pauseMs > 0) this.#throttle(pauseMs);
    else if (this.#turnMs > TURN_MS) this.#giveWay();
  }

  /** The cell waits: its writes fill the kernel's buffer, then its own. */
  #throttle(ms: number): void {
    this.#events?.throttled();
    // What came over a port is in this process already: only waste ends such a cell.
    if (!this.#carrier.pause()) return;
    this.#reader.pause();
    this.#resumption = setTimeout(this.#resume, ms).unref();
  }

  /** Others of this process have their turn before the rest of what came is read. */
  #giveWay(): void {
    if (!this.#carrier.pause()) return;
    this.#reader.pause();
    setImmediate(this.#resume);
  }

  readonly #resume = (): void => {
    if (this.#closed) return;
    this.#carrier.resume();
    this.#read(() => this.#reader.resume());
  };

  /** @returns whether it was of any use */
  #receiveUnasked(record: WireRecord): boolean {
    switch (record.type) {
      case RecordType.api:
        return this.#events?.api(parseHostile(record.text)) ?? false;
      case RecordType.log: {
        const level = logLevels[record.flags];
        const line = v.safeParse(LogLine, parseHostile(record.text));
        if (level === undefined || !line.success) throw new ProtocolViolation('a malformed log line');
        return this.#events?.log(level, line.output.message, line.output.fields) ?? false;
      }
      case RecordType.pong: {
        const pong = v.parse(Pong, parseHostile(record.text));
        this.#pings.get(record.id)?.(pong);
        return this.#pings.delete(record.id);
      }
      case RecordType.ready:
        // The first comes before any module's code; another one is the module's.
        if (this.#wasReady) return false;
        this.#wasReady = true;
        this.threadId = v.parse(Ready, parseHostile(record.text)).threadId;
        this.#isReady();
        return true;
      default:
        if (!this.streams.accept(record.type, record.flags, record.id, record.aux, record.body)) {
          throw new ProtocolViolation(`a record of type ${record.type} out of turn`);
        }
        return true;
    }
  }

  /** @returns whether anybody waited for it */
  #answer(record: WireRecord): boolean {
    const call = this.#calls.get(record.id);
    const asked = call === undefined ? this.#asked.get(record.id) : undefined;
    if (call === undefined && asked === undefined) {
      this.strays++;
      return false;
    }
    const answer = readAnswer(record);
    if (call !== undefined) {
      if (answer.kind === 'packed') throw new ProtocolViolation('a response to a call');
      this.#calls.delete(call);
      call.settle(answer, this.#readAt);
    } else {
      this.#asked.delete(record.id);
      asked?.answered(answer);
    }
    return true;
  }

  #violate(message: string): void {
    this.#events?.violation(message);
    this.close();
  }
}

const allowed: RawAnswer = { kind: 'value', text: ALLOWED };
const nothing: RawAnswer = { kind: 'nothing' };

function readAnswer(record: WireRecord): AskedAnswer {
  switch (record.flags) {
    case AnswerKind.value:
      return { kind: 'value', text: record.text };
    case AnswerKind.allowed:
      return allowed;
    case AnswerKind.nothing:
      return nothing;
    case AnswerKind.threw: {
      const thrown = v.safeParse(Thrown, parseHostile(record.text));
      return thrown.success
        ? { kind: 'threw', error: thrown.output as ThrownError }
        : { kind: 'failed', failure: 'threw', message: 'something that is no error was thrown' };
    }
    case AnswerKind.tooLarge:
      return { kind: 'failed', failure: 'too_large', message: 'the answer is larger than the limit' };
    case AnswerKind.unspeakable:
      return {
        kind: 'failed',
        failure: 'wrong_type',
        message: `the answer is not JSON: ${record.text.slice(0, 200)}`,
      };
    case AnswerKind.packed: {
      const packed = unpack(record.body);
      if (packed === undefined) throw new ProtocolViolation('a response that is none');
      return { kind: 'packed', ...packed };
    }
    default:
      throw new ProtocolViolation(`an answer of kind ${record.flags}`);
  }
}
