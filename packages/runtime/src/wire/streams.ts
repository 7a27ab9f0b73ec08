// Byte streams over records, with back-pressure: a sender may have as much under way as the receiver allowed. The same
// code runs on the host and inside a cell; on the host the peer is hostile, so credit is checked on arrival.

import { CHUNK_BYTES, RecordType, STREAM_WINDOW } from './record.js';

export type SendRecord = (type: number, flags: number, id: number, aux: number, body?: Uint8Array | string) => void;

interface Incoming {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  /** Bytes that the peer may still send. */
  credit: number;
  /** Bytes that were read since credit was last given. */
  taken: number;
  total: number;
  readonly limit: number;
}

interface Outgoing {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  credit: number;
  wake: (() => void) | undefined;
  stopped: boolean;
}

export interface ReceiveOptions {
  /** The most bytes that the whole stream may have. */
  readonly limit?: number;
}

export class StreamLimitError extends Error {
  override readonly name = 'StreamLimitError';
  readonly code = 'StreamLimit';
}

/** The streams of one channel. Ids of streams that this side opens differ from the peer's by their parity. */
export class Streams {
  readonly #send: SendRecord;
  readonly #incoming = new Map<number, Incoming>();
  readonly #outgoing = new Map<number, Outgoing>();
  #nextId: number;
  #closed: Error | undefined;

  /** @param parity 0 on the host, 1 in a cell */
  constructor(send: SendRecord, parity: 0 | 1) {
    this.#send = send;
    this.#nextId = 2 + parity;
  }

  /** Sends a stream to the peer, as fast as the peer reads. @returns the id under which the peer receives it */
  send(source: ReadableStream<Uint8Array>): number {
    const id = this.#nextId;
    this.#nextId += 2;
    if (this.#closed !== undefined) {
      source.cancel(this.#closed).catch(() => {});
      return id;
    }
    const stream: Outgoing = { reader: source.getReader(), credit: 0, wake: undefined, stopped: false };
    this.#outgoing.set(id, stream);
    void this.#pump(id, stream);
    return id;
  }

  /** The stream that the peer sends under `id`. Nothing crosses until it is read. */
  receive(id: number, options: ReceiveOptions = {}): ReadableStream<Uint8Array> {
    if (this.#incoming.has(id)) throw new StreamLimitError(`stream ${id} is received already`);
    const closed = this.#closed;
    if (closed !== undefined) return new ReadableStream({ start: (controller) => controller.error(closed) });
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#incoming.set(id, {
            controller,
            credit: 0,
            taken: STREAM_WINDOW,
            total: 0,
            limit: options.limit ?? Number.POSITIVE_INFINITY,
          });
        },
        pull: () => {
          const stream = this.#incoming.get(id);
          // Credit goes out in halves of the window, so that a reader of small chunks does not cause a record for each.
          if (stream !== undefined && stream.taken >= STREAM_WINDOW / 2) {
            stream.credit += stream.taken;
            this.#send(RecordType.pull, 0, id, stream.taken);
            stream.taken = 0;
          }
        },
        cancel: () => {
          if (this.#incoming.delete(id)) this.#send(RecordType.stop, 0, id, 0);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** @returns whether the record was one that the protocol allows; a chunk beyond the credit is not */
  accept(type: number, flags: number, id: number, aux: number, body: Uint8Array): boolean {
    switch (type) {
      case RecordType.chunk:
        return this.#chunk(id, body);
      case RecordType.end: {
        const stream = this.#incoming.get(id);
        if (stream === undefined) return true;
        this.#incoming.delete(id);
        if (flags === 0) stream.controller.close();
        else stream.controller.error(new Error(new TextDecoder().decode(body) || 'the stream broke'));
        return true;
      }
      case RecordType.pull: {
        const stream = this.#outgoing.get(id);
        if (stream === undefined) return true;
        stream.credit = Math.min(stream.credit + aux, 4 * STREAM_WINDOW);
        stream.wake?.();
        return true;
      }
      case RecordType.stop: {
        const stream = this.#outgoing.get(id);
        if (stream !== undefined) stop(stream);
        return true;
      }
      default:
        return false;
    }
  }

  /** Ends every stream: the channel is gone. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const { controller } of this.#incoming.values()) controller.error(reason);
    this.#incoming.clear();
    for (const stream of this.#outgoing.values()) stop(stream);
  }

  #chunk(id: number, body: Uint8Array): boolean {
    const stream = this.#incoming.get(id);
    // What was under way when this side stopped reading still arrives.
    if (stream === undefined) return true;
    if (body.length > stream.credit || body.length === 0) return false;
    stream.credit -= body.length;
    stream.taken += body.length;
    stream.total += body.length;
    if (stream.total > stream.limit) {
      this.#incoming.delete(id);
      this.#send(RecordType.stop, 0, id, 0);
      stream.controller.error(new StreamLimitError(`more than ${stream.limit} bytes`));
      return true;
    }
    // A Buffer's own `slice` would be a view of what is valid only until we return.
    stream.controller.enqueue(new Uint8Array(body));
    return true;
  }

  async #pump(id: number, stream: Outgoing): Promise<void> {
    try {
      await credit(stream);
      while (!stream.stopped) {
        const { done, value } = await stream.reader.read();
        if (stream.stopped) return;
        if (done) {
          this.#send(RecordType.end, 0, id, 0);
          return;
        }
        if (!(value instanceof Uint8Array)) throw new TypeError('a body stream must give Uint8Array chunks');
        for (let offset = 0; offset < value.length && !stream.stopped; ) {
          const size = Math.min(CHUNK_BYTES, value.length - offset, stream.credit);
          this.#send(RecordType.chunk, 0, id, 0, value.subarray(offset, offset + size));
          stream.credit -= size;
          offset += size;
          await credit(stream);
        }
      }
    } catch (error) {
      this.#send(RecordType.end, 1, id, 0, error instanceof Error ? error.message.slice(0, 1000) : 'the stream broke');
      stop(stream);
    } finally {
      this.#outgoing.delete(id);
    }
  }
}

/** Tells the source that nobody reads on; its own failure to stop is nobody's business. */
function stop(stream: Outgoing): void {
  stream.stopped = true;
  stream.wake?.();
  stream.reader.cancel().then(undefined, () => {});
}

function credit(stream: Outgoing): Promise<void> | undefined {
  if (stream.credit > 0 || stream.stopped) return undefined;
  return new Promise((resolve) => {
    stream.wake = () => {
      stream.wake = undefined;
      resolve();
    };
  });
}
