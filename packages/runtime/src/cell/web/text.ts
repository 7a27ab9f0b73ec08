// TextEncoder, TextDecoder and the text streams. Node's decoder carries its native half under a symbol; a module that puts another
// object there has native code read that object as a decoder, which on Node 20 to 26 is a crash at best.

import { types } from 'node:util';
import { bytesOf } from './bytes.js';
import { TransformStream } from './streams.js';

const { TextDecoder: NativeDecoder, TextEncoder: NativeEncoder } = globalThis;

interface DecoderOptions {
  readonly fatal?: boolean;
  readonly ignoreBOM?: boolean;
}

export class TextEncoder {
  readonly #native = new NativeEncoder();

  get encoding(): string {
    return 'utf-8';
  }
  encode(input?: string): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#native.encode(input === undefined ? '' : `${input}`));
  }
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number } {
    if (!types.isUint8Array(destination)) throw new TypeError('encodeInto writes into a Uint8Array');
    const { read, written } = this.#native.encodeInto(`${source}`, bytesOf(destination));
    return { read, written };
  }
}

export class TextDecoder {
  readonly #native: InstanceType<typeof NativeDecoder>;

  constructor(label: string = 'utf-8', options?: DecoderOptions) {
    const [fatal, ignoreBOM] = [Boolean(options?.fatal), Boolean(options?.ignoreBOM)];
    this.#native = ownError(RangeError, () => new NativeDecoder(`${label}`, { fatal, ignoreBOM }));
  }

  get encoding(): string {
    return this.#native.encoding;
  }
  get fatal(): boolean {
    return this.#native.fatal;
  }
  get ignoreBOM(): boolean {
    return this.#native.ignoreBOM;
  }
  decode(input?: unknown, options?: { readonly stream?: boolean }): string {
    const bytes = input === undefined ? new Uint8Array() : bytesOf(input);
    const stream = Boolean(options?.stream);
    return ownError(TypeError, () => this.#native.decode(bytes, { stream }));
  }
}
// Values, not getters: SES permits nothing else here.
Object.defineProperty(TextEncoder.prototype, Symbol.toStringTag, { value: 'TextEncoder', configurable: true });
Object.defineProperty(TextDecoder.prototype, Symbol.toStringTag, { value: 'TextDecoder', configurable: true });

export class TextDecoderStream {
  readonly #decoder: TextDecoder;
  readonly #stream: TransformStream<unknown, string>;

  constructor(label?: string, options?: DecoderOptions) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    this.#stream = new TransformStream({
      transform(chunk, controller) {
        const text = decoder.decode(chunk ?? null, { stream: true });
        if (text !== '') controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== '') controller.enqueue(text);
      },
    });
  }

  get encoding(): string {
    return this.#decoder.encoding;
  }
  get fatal(): boolean {
    return this.#decoder.fatal;
  }
  get ignoreBOM(): boolean {
    return this.#decoder.ignoreBOM;
  }
  get readable() {
    return this.#stream.readable;
  }
  get writable() {
    return this.#stream.writable;
  }
  get [Symbol.toStringTag](): string {
    return 'TextDecoderStream';
  }
}

export class TextEncoderStream {
  readonly #stream: TransformStream<unknown, Uint8Array>;

  constructor() {
    const encoder = new TextEncoder();
    /** The first half of a character whose second half comes with the next chunk. */
    let half = '';
    this.#stream = new TransformStream({
      transform(chunk, controller) {
        const text = `${half}${chunk}`;
        const end = isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.length - 1 : text.length;
        half = text.slice(end);
        if (end > 0) controller.enqueue(encoder.encode(text.slice(0, end)));
      },
      flush(controller) {
        if (half !== '') controller.enqueue(encoder.encode(half));
      },
    });
  }

  get encoding(): string {
    return 'utf-8';
  }
  get readable() {
    return this.#stream.readable;
  }
  get writable() {
    return this.#stream.writable;
  }
  get [Symbol.toStringTag](): string {
    return 'TextEncoderStream';
  }
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;

/** Errors of Node's are of classes that Node keeps to itself, and that nobody has frozen. */
function ownError<T>(OwnError: ErrorConstructor, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new OwnError((error as Error).message);
  }
}
