// The body that Request and Response have in common. Bytes that are there already stay bytes: a stream is made of them
// only for who asks for one.

import { types } from 'node:util';
import { type Blob, blobBytes, blobFrom, isBlob, streamOf } from './blob.js';
import { bytesOf, concat, copyOf, isBufferSource } from './bytes.js';
import { FormData } from './form-data.js';
import type { Headers } from './headers.js';
import { encodeForm, parseForm } from './multipart.js';
import { ReadableStream, TransformStream } from './streams.js';
import { URLSearchParams } from './url.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type BodyInit = unknown;

export interface Content {
  readonly source: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;
  /** The content type that the standard gives to such a body. */
  readonly type: string | undefined;
}

/** @throws TypeError for a stream that somebody reads or has read. */
export function contentOf(init: unknown): Content {
  if (typeof init === 'object' && init !== null) {
    if (init instanceof ReadableStream) {
      if (init.locked || isDisturbed(init)) throw new TypeError('the stream of a body must be neither locked nor read');
      return { source: init, type: undefined };
    }
    if (isBlob(init)) return { source: new Uint8Array(blobBytes(init)), type: init.type || undefined };
    if (isBufferSource(init)) return { source: copyOf(init), type: undefined };
    if (init instanceof FormData) {
      const { bytes, type } = encodeForm(init);
      return { source: bytes, type };
    }
    if (init instanceof URLSearchParams) {
      return { source: encode(`${init}`), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
    }
    if (isAsyncIterable(init))
      return { source: ReadableStream.from(init) as ReadableStream<Uint8Array>, type: undefined };
  }
  return { source: encode(`${init}`), type: 'text/plain;charset=UTF-8' };
}

/** For `clone`: a second source of the same bytes. */
export let copySource: (body: Body) => Content['source'] | null;
/** For a Request that is made of another: the body moves over. */
export let moveSource: (body: Body) => Content['source'] | null;
export let hasBody: (body: Body) => boolean;
/** The bytes of a body that is no stream, unread, and not longer than that; it counts as read then. */
export let takeBytes: (body: Body, most: number) => Uint8Array<ArrayBuffer> | undefined;

export abstract class Body {
  #source: Uint8Array<ArrayBuffer> | null = null;
  #stream: ReadableStream<Uint8Array> | null = null;
  #used = false;

  static {
    copySource = (body) => {
      body.#refuseIfUsed();
      if (body.#source !== null) return new Uint8Array(body.#source);
      if (body.#stream === null) return null;
      const [mine, other] = body.#stream.tee();
      body.#stream = mine;
      return other;
    };
    moveSource = (body) => {
      body.#refuseIfUsed();
      if (body.#source === null) return body.#stream?.pipeThrough(new TransformStream()) ?? null;
      return body.#spend(body.#source);
    };
    takeBytes = (body, most) => {
      const source = #source in body ? body.#source : null;
      return source === null || body.#used || source.length > most ? undefined : body.#spend(source);
    };
    hasBody = (body) => body.#source !== null || body.#stream !== null;
  }

  abstract get headers(): Headers;

  constructor(source: Content['source'] | null) {
    if (source instanceof ReadableStream) this.#stream = source;
    else this.#source = source === null ? null : bytesOf(source);
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#stream === null && this.#source !== null) {
      this.#stream = streamOf(this.#source);
      this.#source = null;
      // Its bytes were taken before somebody asked for the stream: it must look read.
      if (this.#used) void this.#stream.cancel();
    }
    return this.#stream;
  }

  get bodyUsed(): boolean {
    return this.#used || (this.#stream !== null && isDisturbed(this.#stream));
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#take();
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.#take()).buffer;
  }
  async text(): Promise<string> {
    return decoder.decode(await this.#take());
  }
  async json(): Promise<unknown> {
    return JSON.parse(decoder.decode(await this.#take()));
  }
  async blob(): Promise<Blob> {
    const type = this.headers.get('content-type') ?? '';
    return blobFrom(await this.#take(), type);
  }
  async formData(): Promise<FormData> {
    const contentType = this.headers.get('content-type') ?? '';
    const bytes = await this.#take();
    if (/^\s*multipart\/form-data\s*(;|$)/i.test(contentType)) return parseForm(bytes, contentType);
    if (!/^\s*application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType)) {
      throw new TypeError('the content type is that of no form');
    }
    const form = new FormData();
    for (const [name, value] of new URLSearchParams(decoder.decode(bytes))) form.append(name, value);
    return form;
  }

  async #take(): Promise<Uint8Array<ArrayBuffer>> {
    this.#refuseIfUsed();
    if (this.#source !== null) return this.#spend(this.#source);
    return this.#stream === null ? new Uint8Array() : readAll(this.#stream);
  }

  /** The bytes go to somebody who may change them; what is left here only tells that there was a body. */
  #spend(source: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.#source = new Uint8Array();
    this.#used = true;
    return source;
  }

  #refuseIfUsed(): void {
    if (this.bodyUsed || this.#stream?.locked) throw new TypeError('the body is already used or locked');
  }
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(chunks);
    if (!types.isUint8Array(value)) {
      const error = new TypeError('a body may only hold chunks of type Uint8Array');
      await reader.cancel(error);
      throw error;
    }
    chunks.push(copyOf(value));
  }
}

const encode = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(encoder.encode(text));

const isAsyncIterable = (value: object): value is AsyncIterable<Uint8Array> =>
  typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function';

/** The polyfill's own mark. A module that changes it deceives itself alone. */
const isDisturbed = (stream: ReadableStream): boolean => (stream as { _disturbed?: boolean })._disturbed === true;
