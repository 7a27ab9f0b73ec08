// Request of the Fetch standard. Nothing here fetches: it is what a web resource is given and what `fetch` takes.

import { AbortController, AbortSignal, isSignal } from './abort.js';
import { Body, type BodyInit, type Content, contentOf, copySource, hasBody, moveSource } from './body.js';
import { Headers, type HeadersInit } from './headers.js';
import { URL } from './url.js';

export interface RequestInit {
  readonly method?: string;
  readonly headers?: HeadersInit;
  readonly body?: BodyInit;
  readonly signal?: AbortSignal | null;
  readonly duplex?: string;
  readonly cache?: string;
  readonly credentials?: string;
  readonly integrity?: string;
  readonly keepalive?: boolean;
  readonly mode?: string;
  readonly redirect?: string;
  readonly referrer?: string;
  readonly referrerPolicy?: string;
}

const choices = {
  mode: ['cors', 'same-origin', 'no-cors'],
  credentials: ['same-origin', 'omit', 'include'],
  cache: ['default', 'no-store', 'reload', 'no-cache', 'force-cache', 'only-if-cached'],
  redirect: ['follow', 'error', 'manual'],
  referrerPolicy: [
    '',
    'no-referrer',
    'no-referrer-when-downgrade',
    'same-origin',
    'origin',
    'strict-origin',
    'origin-when-cross-origin',
    'strict-origin-when-cross-origin',
    'unsafe-url',
  ],
} as const;
type Choice = keyof typeof choices;

interface Options extends Record<Choice, string> {
  readonly integrity: string;
  readonly keepalive: boolean;
}

const UPPER_CASED = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];
const FORBIDDEN_METHODS = ['CONNECT', 'TRACE', 'TRACK'];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class Request extends Body {
  readonly #method: string;
  readonly #url: string;
  readonly #headers: Headers;
  readonly #options: Options;
  readonly #signal: AbortSignal;

  constructor(input: unknown, init: RequestInit = {}) {
    if ((typeof init !== 'object' && typeof init !== 'function') || init === null) {
      throw new TypeError('the options of a Request must be an object');
    }
    const from = input instanceof Request ? input : undefined;
    const url = from?.url ?? parseUrl(input);
    const method = init.method === undefined ? (from?.method ?? 'GET') : readMethod(init.method);
    const headers = new Headers(init.headers ?? from?.headers);
    const content = readBody(init, from, method);
    const signal = init.signal === undefined ? from?.signal : init.signal;
    if (signal !== undefined && signal !== null && !isSignal(signal)) {
      throw new TypeError('the signal of a Request must be an AbortSignal');
    }
    if (content?.type !== undefined && !headers.has('content-type')) headers.append('content-type', content.type);
    super(content?.source ?? null);
    this.#method = method;
    this.#url = url;
    this.#headers = headers;
    this.#options = readOptions(init, from);
    this.#signal = signal ? AbortSignal.any([signal]) : new AbortController().signal;
  }

  get method(): string {
    return this.#method;
  }
  get url(): string {
    return this.#url;
  }
  get headers(): Headers {
    return this.#headers;
  }
  get signal(): AbortSignal {
    return this.#signal;
  }
  get mode(): string {
    return this.#options.mode;
  }
  get credentials(): string {
    return this.#options.credentials;
  }
  get cache(): string {
    return this.#options.cache;
  }
  get redirect(): string {
    return this.#options.redirect;
  }
  get referrerPolicy(): string {
    return this.#options.referrerPolicy;
  }
  get integrity(): string {
    return this.#options.integrity;
  }
  get keepalive(): boolean {
    return this.#options.keepalive;
  }
  get referrer(): string {
    return 'about:client';
  }
  get destination(): string {
    return '';
  }
  /** So that a Request can stand where its options are expected. */
  get duplex(): string {
    return 'half';
  }

  clone(): Request {
    const source = copySource(this);
    const { method, url, headers, signal } = this;
    const body = method === 'GET' || method === 'HEAD' || source === null ? {} : { body: source, duplex: 'half' };
    return new Request(url, { ...this.#options, method, headers, signal, ...body });
  }

  get [Symbol.toStringTag](): string {
    return 'Request';
  }
}

function parseUrl(input: unknown): string {
  const url = new URL(`${input}`);
  if (url.username !== '' || url.password !== '') throw new TypeError('the URL of a Request may not hold credentials');
  return url.href;
}

function readMethod(method: unknown): string {
  const text = `${method}`;
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || FORBIDDEN_METHODS.includes(upper)) throw new TypeError(`${text} is not an allowed method`);
  return UPPER_CASED.includes(upper) ? upper : text;
}

function readBody(init: RequestInit, from: Request | undefined, method: string): Content | undefined {
  const given = init.body ?? undefined;
  const moves = given === undefined && init.body !== null && from !== undefined && hasBody(from);
  if (given === undefined && !moves) return undefined;
  if (method === 'GET' || method === 'HEAD') throw new TypeError('a Request with GET or HEAD cannot have a body');
  if (moves) {
    const source = moveSource(from);
    return source === null ? undefined : { source, type: undefined };
  }
  const content = contentOf(given);
  if (!(content.source instanceof Uint8Array) && init.duplex !== 'half') {
    throw new TypeError("a Request with a stream for a body needs duplex: 'half'");
  }
  return content;
}

function readOptions(init: RequestInit, from: Request | undefined): Options {
  const choose = (key: Choice): string => {
    const value = init[key] === undefined ? (from?.[key] ?? choices[key][0]) : `${init[key]}`;
    if (!(choices[key] as readonly string[]).includes(value)) throw new TypeError(`${value} is not a valid ${key}`);
    return value;
  };
  return {
    mode: choose('mode'),
    credentials: choose('credentials'),
    cache: choose('cache'),
    redirect: choose('redirect'),
    referrerPolicy: choose('referrerPolicy'),
    integrity: init.integrity === undefined ? (from?.integrity ?? '') : `${init.integrity}`,
    keepalive: Boolean(init.keepalive ?? from?.keepalive),
  };
}
