// The cell's outer side: it holds the carrier and stands outside the compartment. Between it and the inside there are two
// functions that carry numbers, strings and bytes: `send` going out and `deliver` going in. It knows no callbacks.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext, runInThisContext } from 'node:vm';
import { workerData } from 'node:worker_threads';
import { layers } from '../layers.js';
import { type Carrier, fdCarrier, portCarrier } from '../wire/carrier.js';
import { FrameReader, FrameWriter } from '../wire/frame.js';
import { AnswerKind, CHUNK_BYTES, RecordType, type ThrownError, type WireRecord } from '../wire/record.js';
import { disarm } from './disarm.js';
import { createEndowments, type EndowmentHooks } from './endowments.js';
import type { Attach, Connect, Deliver, Helpers, Namespace, Send } from './inside/connect.js';
import { getStackString, lockdownCell } from './lockdown.js';
import { type CellData, type CellTask, Mark, MOST_UNSENT } from './task.js';
import { type Body, takeBytes } from './web/body.js';

const MEBIBYTE = 1 << 20;
/** The host checks each row's own limit; nothing larger than this leaves at all. */
const LARGEST_BODY = 2 * MEBIBYTE;
/** What may wait for a host that has no time to read. */
const LARGEST_BACKLOG = 16 * MEBIBYTE;
const MOST_TIMERS = 10_000;
/** How long a cell that had to collect its garbage does not look again, unless it grows. */
const MEMORY_MS = 200;
const MEMORY_SLACK = 16 * MEBIBYTE;

const { isolation, memory, layersOff } = workerData as CellData;
layers.takeOff(...layersOff);
// Contexts made while the flag is set have `gc`; this one, and the module's compartment, do not.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
setFlagsFromString('--no-expose-gc');
if (layers.has('signals')) disarm();
const isLockedDown = isolation === 'compartment' && layers.has('ses');
if (isLockedDown) lockdownCell();

/** On Linux the host can see what a thread takes, and slow it, by this number. */
const threadId = ownThreadId();

/** A cell's whole life. It ends with its thread: nothing of one life is ever there in another. */
export default function live(task: CellTask): Promise<never> {
  const marks = new Int32Array(task.marks);
  Atomics.store(marks, Mark.taken, 1);
  const carrier = 'fd' in task.carrier ? fdCarrier(task.carrier.fd) : portCarrier(task.carrier.port);
  serve(carrier, marks);
  // The carrier is the thread's reason to live.
  carrier.onClose(() => process.exit(0));
  return new Promise(() => {});
}

function serve(carrier: Carrier, marks: Int32Array): void {
  const { ping, call, load } = RecordType;
  const writer = new FrameWriter((frame) => {
    const isFree = carrier.write(frame);
    marks[Mark.unsent] = 0;
    return isFree;
  });
  let deliver: Deliver | undefined;

  /** If the next call never ends, this answer is not lost with it: it is known that it was given. */
  const markUnsent = (id: number): void => {
    if (marks[Mark.unsent] === MOST_UNSENT) writer.flush();
    const index = (marks[Mark.unsent] as number) + 1;
    marks[Mark.unsent + index] = id;
    marks[Mark.unsent] = index;
  };

  const sendText = (type: number, flags: number, id: number, text: string): void =>
    writer.push(type, flags, id, 0, text);

  const sendError = (id: number, error: unknown): void =>
    sendText(RecordType.answer, AnswerKind.threw, id, JSON.stringify(describe(error)));

  // Everything that the module's code gives is checked for its primitive type before it is used: an object here would
  // run the module's code outside the compartment.
  const send = (type: unknown, flags: unknown, id: unknown, aux: unknown, body: unknown, error: unknown): void => {
    if (!isUint(type) || !isUint(flags) || !isUint(id) || !isUint(aux)) throw new TypeError('send takes numbers');
    if (writer.pending + carrier.backlog() > LARGEST_BACKLOG) throw new RangeError('too much is under way to the host');
    if (type === RecordType.answer) markUnsent(id);
    if (typeof body !== 'string') {
      writer.push(type, flags, id, aux, body === undefined ? undefined : copyBytes(body));
    } else if (body.length <= LARGEST_BODY) {
      sendText(type, flags, id, error === undefined ? body : withStack(body, error));
    } else if (type === RecordType.answer) {
      writer.push(type, AnswerKind.tooLarge, id, 0, undefined);
    } else {
      throw new RangeError('the message is too large');
    }
  };

  /**
   * No limit of V8's counts buffers. A cell that gives its thread back looks at itself; the watchdog sees the others. What
   * is only waiting to be collected does not count.
   */
  let lookedAt = 0;
  /** What was used then and could not be collected. */
  let live = 0;
  const checkMemory = (): void => {
    const now = performance.now();
    const used = usedMemory();
    const wasSeen = now - lookedAt < MEMORY_MS && used <= live + MEMORY_SLACK;
    if (used <= memory || wasSeen || !layers.has('memory')) return;
    collectGarbage();
    // Dead buffers are freed beside this thread, and count until the next collection begins.
    if (usedMemory() > memory + MEMORY_SLACK) collectGarbage();
    lookedAt = performance.now();
    live = usedMemory();
    if (live <= memory + MEMORY_SLACK) return;
    marks[Mark.excess] = Math.round(live / MEBIBYTE);
    process.exit(0);
  };

  const onUncaught = (error: unknown): void => {
    const { name, message, stack } = describe(error);
    sendText(RecordType.log, 3, 0, JSON.stringify({ message: `uncaught ${name}: ${message}`, fields: { stack } }));
  };
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);

  const { attach, evaluate } = createInside(send, { onUncaught, afterTimer: checkMemory });

  const begin = (id: number, script: string): void => {
    try {
      deliver = attach(evaluate(script) as Namespace);
      deliver(load, 0, id, 0, '');
    } catch (error) {
      sendError(id, error);
    }
  };

  const receive = (record: WireRecord): void => {
    const { type, flags, id, aux } = record;
    if (type === ping) {
      const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
      sendText(RecordType.pong, 0, id, JSON.stringify({ heap, external }));
      return;
    }
    if (type === load) {
      if (deliver === undefined) begin(id, record.text);
      return;
    }
    if (deliver === undefined) return;
    if (type === call) {
      marks[Mark.begun] = id;
      marks[Mark.current] = id;
    }
    try {
      deliver(type, flags, id, aux, type === RecordType.chunk ? copyOf(record.body) : record.text);
    } catch (error) {
      sendError(id, error);
    }
    marks[Mark.current] = 0;
  };

  // The host is trusted; the limits are those of the wire.
  const reader = new FrameReader(() => 0xffff_ffff, receive);
  carrier.onBytes((bytes) => {
    reader.push(bytes);
    checkMemory();
  });
  sendText(RecordType.ready, 0, 0, JSON.stringify({ threadId }));
}

function ownThreadId(): number | undefined {
  try {
    return Number.parseInt(readFileSync('/proc/thread-self/stat', 'latin1'), 10);
  } catch {
    return undefined;
  }
}

function usedMemory(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/** The inside is there before the module is known, so that nothing but the module's own code has to be evaluated then. */
function createInside(
  send: Send,
  hooks: Omit<EndowmentHooks, 'maxTimers'>,
): { readonly attach: Attach; evaluate(script: string): unknown } {
  const evaluate = isLockedDown ? inCompartment(hooks) : inThread();
  const helpers: Helpers = {
    // Node's own responses keep their bytes to themselves.
    takeBytes: (response, most) => (isLockedDown ? takeBytes(response as unknown as Body, most) : undefined),
  };
  const connect = evaluate(readFileSync(join(__dirname, 'inside.js'), 'utf8')) as Connect;
  return { attach: isLockedDown ? connect(harden(send), harden(helpers)) : connect(send, helpers), evaluate };
}

function inCompartment(hooks: Omit<EndowmentHooks, 'maxTimers'>): (script: string) => unknown {
  const { endowments } = createEndowments({ maxTimers: MOST_TIMERS, ...hooks });
  const compartment = new Compartment({ globals: endowments, __options__: true });
  return (script) => compartment.evaluate(script);
}

/** A trusted module: node's own globals and built-ins, as far as the flags of the thread allow. */
function inThread(): (script: string) => unknown {
  Object.assign(globalThis, { require: createRequire(__filename) });
  return (script) => runInThisContext(script);
}

/** Memory of its own. `Uint8Array.from` would ask the iterator for each byte, 20 ms for a chunk. */
const copyOf = (body: Uint8Array): Uint8Array => new Uint8Array(body);

const isUint = (value: unknown): value is number => typeof value === 'number' && value >>> 0 === value;

const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const byteLengthOf = Object.getOwnPropertyDescriptor(typedArrayPrototype, 'byteLength')?.get as () => number;
const tagOf = Object.getOwnPropertyDescriptor(typedArrayPrototype, Symbol.toStringTag)?.get as () => string | undefined;
const setBytes = Uint8Array.prototype.set;

/** Copies the bytes of a genuine Uint8Array; a Proxy or an object that looks like one has no such internal slots. */
function copyBytes(body: unknown): Buffer {
  if (Reflect.apply(tagOf, body, []) !== 'Uint8Array') throw new TypeError('send takes a string or a Uint8Array');
  const length = Reflect.apply(byteLengthOf, body, []);
  if (length > CHUNK_BYTES) throw new RangeError('the chunk is too large');
  const copy = Buffer.allocUnsafe(length);
  Reflect.apply(setBytes, copy, [body]);
  return copy;
}

/** An error as text. Nothing of it is trusted to be a string, to be short, or to have no getters that throw. */
function describe(error: unknown): ThrownError {
  const read = (key: string): string => {
    try {
      const value = (error as Record<string, unknown>)[key];
      return typeof value === 'string' ? value.slice(0, 4000) : '';
    } catch {
      return '';
    }
  };
  if (typeof error !== 'object' || error === null) {
    return { name: 'Error', message: `${typeof error} thrown: ${String(error).slice(0, 4000)}`, stack: '' };
  }
  return { name: read('name') || 'Error', message: read('message'), stack: stackOf(error) };
}

/** Inside, an error shows no stack; from here it does. */
function stackOf(error: unknown): string {
  try {
    return getStackString(error as Error).slice(0, 8000);
  } catch {
    // A Proxy, or an error whose stack throws: then there is none.
    return '';
  }
}

/** Adds the stack to an error's JSON. What comes out when the body is no JSON object, the host refuses. */
const withStack = (body: string, error: unknown): string =>
  `${body.slice(0, -1)},"stack":${JSON.stringify(stackOf(error))}}`;
