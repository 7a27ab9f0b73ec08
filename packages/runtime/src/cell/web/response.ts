// Response of the Fetch standard.

import { Body, type BodyInit, type Content, contentOf, copySource } from './body.js';
import { Headers, type HeadersInit, makeImmutable } from './headers.js';
import { URL } from './url.js';

const NULL_BODY_STATUS = [101, 204, 205, 304];
const REDIRECT_STATUS = [301, 302, 303, 307, 308];
const REASON_PHRASE = /^[\t\x20-\x7e\x80-\xff]*$/;

export interface ResponseInit {
  readonly status?: number;
  readonly statusText?: string;
  readonly headers?: HeadersInit;
}

/** What a module cannot set by `init`, but the standard's own responses have. */
interface Inner {
  readonly source: Content['source'] | null;
  readonly status: number;
  readonly type: string;
}

/** Opens the constructor for what the checks would refuse. */
const inner = Symbol('inner');

export class Response extends Body {
  readonly #status: number;
  readonly #statusText: string;
  readonly #headers: Headers;
  readonly #type: string;

  constructor(body?: BodyInit, init: ResponseInit = {}, key?: unknown) {
    if ((typeof init !== 'object' && typeof init !== 'function') || init === null) {
      throw new TypeError('the options of a Response must be an object');
    }
    const given = key === inner ? (body as Inner) : undefined;
    const status = given?.status ?? readStatus(init.status);
    const statusText = init.statusText === undefined ? '' : `${init.statusText}`;
    if (!REASON_PHRASE.test(statusText)) throw new TypeError('statusText holds forbidden characters');
    const headers = new Headers(init.headers);
    const content = given ?? readBody(body, status, headers);
    super(content?.source ?? null);
    this.#status = status;
    this.#statusText = statusText;
    this.#headers = headers;
    this.#type = given?.type ?? 'default';
  }

  static error(): Response {
    const response = new Response({ source: null, status: 0, type: 'error' } satisfies Inner, {}, inner);
    makeImmutable(response.headers);
    return response;
  }

  static json(data: unknown, init: ResponseInit = {}): Response {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError('the value is not JSON');
    const headers = new Headers(init.headers);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    const { status, statusText } = init;
    return new Response(text, {
      headers,
      ...(status === undefined ? {} : { status }),
      ...(statusText === undefined ? {} : { statusText }),
    });
  }

  static redirect(url: unknown, status = 302): Response {
    const location = new URL(`${url}`).href;
    if (!REDIRECT_STATUS.includes(status)) throw new RangeError(`${status} is not the status of a redirect`);
    const response = new Response(null, { status, headers: { location } });
    makeImmutable(response.headers);
    return response;
  }

  get status(): number {
    return this.#status;
  }
  get ok(): boolean {
    return this.#status >= 200 && this.#status <= 299;
  }
  get statusText(): string {
    return this.#statusText;
  }
  get headers(): Headers {
    return this.#headers;
  }
  get type(): string {
    return this.#type;
  }
  get url(): string {
    return '';
  }
  get redirected(): boolean {
    return false;
  }

  clone(): Response {
    const source = copySource(this);
    const { status, statusText, headers, type } = this;
    return new Response({ source, status, type } satisfies Inner, { statusText, headers }, inner);
  }

  get [Symbol.toStringTag](): string {
    return 'Response';
  }
}

function readStatus(status: unknown): number {
  const number = status === undefined ? 200 : Number(status);
  if (!Number.isInteger(number) || number < 200 || number > 599) {
    throw new RangeError('the status of a Response must be between 200 and 599');
  }
  return number;
}

function readBody(body: unknown, status: number, headers: Headers): Content | undefined {
  if (body === null || body === undefined) return undefined;
  if (NULL_BODY_STATUS.includes(status)) throw new TypeError(`a Response with status ${status} cannot have a body`);
  const content = contentOf(body);
  if (content.type !== undefined && !headers.has('content-type')) headers.append('content-type', content.type);
  return content;
}
