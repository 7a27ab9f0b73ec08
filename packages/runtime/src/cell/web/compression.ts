// Compression streams. Node's own are fed in pieces of any size and any number at once, on threads that all cells share;
// on Node 20 their native half stands under a symbol.

import {
  createDeflate,
  createDeflateRaw,
  createGunzip,
  createGzip,
  createInflate,
  createInflateRaw,
  type Zlib,
} from 'node:zlib';
import { copyOf } from './bytes.js';
import { inPool } from './pool.js';
import { TransformStream } from './streams.js';

/** What one turn on a pool thread works on; at worst it grows a thousandfold. */
const PIECE_BYTES = 16 * 1024;

type Engine = ReturnType<typeof createGzip> & Zlib;
type Format = 'gzip' | 'deflate' | 'deflate-raw';

const compressors: Record<Format, () => Engine> = {
  gzip: createGzip,
  deflate: createDeflate,
  'deflate-raw': createDeflateRaw,
};
const decompressors: Record<Format, () => Engine> = {
  gzip: createGunzip,
  deflate: createInflate,
  'deflate-raw': createInflateRaw,
};

export class CompressionStream {
  readonly #stream: TransformStream<unknown, Uint8Array>;

  constructor(format: string) {
    this.#stream = through(compressors, format);
  }
  get readable() {
    return this.#stream.readable;
  }
  get writable() {
    return this.#stream.writable;
  }
  get [Symbol.toStringTag](): string {
    return 'CompressionStream';
  }
}

export class DecompressionStream {
  readonly #stream: TransformStream<unknown, Uint8Array>;

  constructor(format: string) {
    this.#stream = through(decompressors, format);
  }
  get readable() {
    return this.#stream.readable;
  }
  get writable() {
    return this.#stream.writable;
  }
  get [Symbol.toStringTag](): string {
    return 'DecompressionStream';
  }
}

function through(engines: Record<Format, () => Engine>, format: string): TransformStream<unknown, Uint8Array> {
  const name = `${format}`;
  if (!Object.hasOwn(engines, name)) throw new TypeError(`${name} is not a known compression format`);
  const engine = engines[name as Format]();
  let failure: TypeError | undefined;
  /** Ends the step that is under way: Node does not call a write back whose data it could not work with. */
  let fail = (_: TypeError): void => {};
  engine.on('error', (error: Error) => {
    failure = new TypeError(`the data could not be processed: ${error.message}`);
    fail(failure);
  });
  engine.on('close', () => {
    failure ??= new TypeError('the stream is closed');
    fail(failure);
  });

  /** A stream has one step at a time, each a turn on the pool. */
  const step = (work: (done: () => void) => void): Promise<void> =>
    inPool(
      () =>
        new Promise((resolve, reject) => {
          if (failure !== undefined) return reject(failure);
          fail = reject;
          return work(resolve);
        }),
    );

  return new TransformStream<unknown, Uint8Array>({
    start(controller) {
      engine.on('data', (chunk: Uint8Array) => {
        try {
          // A copy: Node cuts what it gives from a buffer of its own, which the module would otherwise hold.
          controller.enqueue(new Uint8Array(chunk));
        } catch {
          // Nobody reads any more.
          engine.destroy();
        }
      });
    },
    async transform(chunk) {
      const bytes = copyOf(chunk);
      for (let offset = 0; offset < bytes.byteLength; offset += PIECE_BYTES) {
        const piece = bytes.subarray(offset, offset + PIECE_BYTES);
        await step((done) => engine.write(piece, () => done()));
      }
    },
    flush: () =>
      step((done) => {
        engine.once('end', done);
        engine.end();
      }),
    cancel() {
      engine.destroy();
    },
  });
}
