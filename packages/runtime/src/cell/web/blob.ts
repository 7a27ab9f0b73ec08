// Blob and File over plain bytes. Node's hold a native handle under a symbol, and native code trusts what it finds there.

import { bytesOf, concat, isBufferSource } from './bytes.js';
import { ReadableStream } from './streams.js';

const CHUNK_BYTES = 64 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface BlobOptions {
  readonly type?: string;
  readonly endings?: 'transparent' | 'native';
}

let fromBytes: (bytes: Uint8Array<ArrayBuffer>, type: string) => Blob;
let contentOf: (blob: Blob) => Uint8Array<ArrayBuffer>;
let isGenuine: (value: object) => boolean;

export class Blob {
  /** Never changed and never given away: slices share it. */
  #bytes: Uint8Array<ArrayBuffer>;
  readonly #type: string;

  static {
    fromBytes = (bytes, type) => {
      const blob = new Blob([], { type });
      blob.#bytes = bytes;
      return blob;
    };
    contentOf = (blob) => blob.#bytes;
    isGenuine = (value) => #bytes in value;
  }

  constructor(parts?: Iterable<unknown>, options?: BlobOptions) {
    this.#bytes = concat(readParts(parts));
    this.#type = normalType(options?.type);
  }

  get size(): number {
    return this.#bytes.byteLength;
  }
  get type(): string {
    return this.#type;
  }

  slice(start?: number, end?: number, contentType?: string): Blob {
    const size = this.#bytes.byteLength;
    const from = clamp(start, size, 0);
    const to = Math.max(from, clamp(end, size, size));
    return fromBytes(this.#bytes.subarray(from, to), normalType(contentType));
  }

  async text(): Promise<string> {
    return decoder.decode(this.#bytes);
  }
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(this.#bytes);
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    return new Uint8Array(this.#bytes).buffer;
  }
  stream(): ReadableStream<Uint8Array> {
    return streamOf(this.#bytes);
  }
  get [Symbol.toStringTag](): string {
    return 'Blob';
  }
}

export class File extends Blob {
  readonly #name: string;
  readonly #lastModified: number;

  constructor(parts: Iterable<unknown>, name: string, options?: BlobOptions & { readonly lastModified?: number }) {
    if (name === undefined) throw new TypeError('a File needs a name');
    super(parts, options);
    this.#name = `${name}`.toWellFormed();
    this.#lastModified =
      options?.lastModified === undefined ? Date.now() : Math.trunc(Number(options.lastModified)) || 0;
  }

  get name(): string {
    return this.#name;
  }
  get lastModified(): number {
    return this.#lastModified;
  }
  get webkitRelativePath(): string {
    return '';
  }
  override get [Symbol.toStringTag](): string {
    return 'File';
  }
}

export const isBlob = (value: unknown): value is Blob =>
  typeof value === 'object' && value !== null && isGenuine(value);

/** The bytes themselves: for readers that neither change them nor hand them on. */
export const blobBytes = (blob: Blob): Uint8Array<ArrayBuffer> => contentOf(blob);

/** Takes the bytes over without a copy. */
export const blobFrom = (bytes: Uint8Array<ArrayBuffer>, type: string): Blob => fromBytes(bytes, type);

/** A byte stream of copies, chunk by chunk as they are wanted. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let offset = 0;
  const source = {
    type: 'bytes' as const,
    pull(controller: { enqueue(chunk: Uint8Array): void; close(): void; byobRequest: ByobRequest | null }) {
      const chunk = new Uint8Array(bytes.subarray(offset, offset + CHUNK_BYTES));
      offset += chunk.byteLength;
      if (chunk.byteLength > 0) controller.enqueue(chunk);
      if (offset < bytes.byteLength) return;
      controller.close();
      // A reader that waits with a buffer of its own hears of the end by an empty answer.
      controller.byobRequest?.respond(0);
    },
  };
  return new ReadableStream(source as never);
}

interface ByobRequest {
  respond(bytesWritten: number): void;
}

function readParts(parts: Iterable<unknown> | undefined): Uint8Array[] {
  if (parts === undefined) return [];
  if (typeof parts !== 'object' || parts === null || typeof parts[Symbol.iterator] !== 'function') {
    throw new TypeError('the parts of a Blob must be an iterable object');
  }
  const read: Uint8Array[] = [];
  for (const part of parts) {
    if (isBlob(part)) read.push(contentOf(part));
    else if (isBufferSource(part)) read.push(new Uint8Array(bytesOf(part)));
    else read.push(encoder.encode(`${part}`));
  }
  return read;
}

function normalType(type: unknown): string {
  const text = type === undefined ? '' : `${type}`;
  return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : '';
}

function clamp(position: number | undefined, size: number, missing: number): number {
  if (position === undefined) return missing;
  const whole = Math.trunc(Number(position)) || 0;
  return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
}
