// Carries out modules' `fetch` on the host. Every hop goes only where the admin granted; where a name leads is decided at
// the connection itself; bytes, time and exchanges under way are limited.

import type { LookupAddress } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { ApiError } from '@bulkhead/sdk/contract';
import { Agent, buildConnector, Headers, Pool, Request, type Response, fetch as undiciFetch } from 'undici';
import { checkHost, failed, parseUrl } from './fetchable.js';
import { createHostGrants, type HostGrants } from './hosts.js';
import { grantLine, permissionDenied } from './permissions.js';

export interface Fetcher {
  /** @throws ApiError `PermissionDenied`, `FetchFailed`, `InvalidArgument` or `QuotaExceeded` */
  fetch(request: FetchRequest): Promise<FetchResponse>;
  /** Ends everything under way, and the connections. */
  close(): Promise<void>;
}

export interface FetchRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: ReadableStream<Uint8Array> | null;
  readonly redirect: 'follow' | 'manual' | 'error';
  readonly signal?: AbortSignal | undefined;
}

export interface FetchResponse {
  readonly status: number;
  readonly statusText: string;
  readonly url: string;
  readonly redirected: boolean;
  readonly headers: [name: string, value: string][];
  /** Ends, breaks or is cancelled within the time limit. */
  readonly body: ReadableStream<Uint8Array> | null;
}

export interface FetcherOptions {
  /** As in the configuration: `api.example.com`, `*.example.com:*`, `127.0.0.1:9000`. */
  readonly grants: readonly string[];
  readonly maxRequestBytes?: number;
  /** Of a response's body, encoded as well as decoded. */
  readonly maxResponseBytes?: number;
  /** From the call to the last byte of the response, in milliseconds. */
  readonly timeout?: number;
  /** How many exchanges may be under way; one whose body nobody reads is. */
  readonly maxUnderWay?: number;
  /** All addresses of a name. */
  readonly lookup?: (hostname: string) => Promise<readonly LookupAddress[]>;
}

const DEFAULTS = {
  maxRequestBytes: 10 * 1024 * 1024,
  maxResponseBytes: 10 * 1024 * 1024,
  timeout: 30_000,
  maxUnderWay: 50,
  lookup: (hostname: string) => resolve(hostname, { all: true, order: 'verbatim' }),
};

const MAX_REDIRECTS = 5;
/** Request bodies up to this size are held, so that a redirect can send them again and they go out with a length. */
const HELD_BYTES = 64 * 1024;

/** A fetcher serves one module: connections are never shared with another, which may have other grants. */
export function createFetcher(options: FetcherOptions): Fetcher {
  const limits: Limits = { ...DEFAULTS, ...options };
  const hosts = createHostGrants(options.grants);
  const agent = guardedAgent(hosts, limits);
  const exchanges = new Set<Exchange>();
  let closed = false;

  return {
    async fetch(request) {
      const exchange = new Exchange(request, limits, () => exchanges.delete(exchange));
      exchanges.add(exchange);
      try {
        if (closed) throw new ApiError('Gone', 'the module was stopped');
        if (request.signal?.aborted) throw failed('the request was cancelled');
        // A response that is never read keeps its socket: without a limit, a module opens the host's last descriptor.
        if (exchanges.size > limits.maxUnderWay) {
          throw new ApiError('QuotaExceeded', `${limits.maxUnderWay} requests to the network are under way already`);
        }
        return await carryOut(request, exchange, hosts, agent);
      } catch (error) {
        throw exchange.fail(error);
      }
    },
    async close() {
      closed = true;
      for (const exchange of exchanges) exchange.fail(new ApiError('Gone', 'the module was stopped'));
      await agent.destroy();
    },
  };
}

type Limits = Required<Omit<FetcherOptions, 'grants'>>;

async function carryOut(
  request: FetchRequest,
  exchange: Exchange,
  hosts: HostGrants,
  agent: Agent,
): Promise<FetchResponse> {
  let url = parseUrl(request.url);
  checkHost(hosts, url);
  exchange.host = url.host;
  let message: Message = {
    method: request.method,
    headers: allowedHeaders(request.headers),
    body: await exchange.upload(),
  };
  for (let redirects = 0; ; redirects++) {
    const sent = toRequest(url, message, exchange.signal);
    const response = await undiciFetch(sent, { dispatcher: agent });
    const location = request.redirect === 'manual' ? undefined : locationOf(response, url);
    if (location === undefined) {
      return {
        status: response.status,
        statusText: response.statusText,
        url: withoutFragment(url),
        redirected: redirects > 0,
        headers: [...response.headers],
        body: exchange.download(response),
      };
    }
    await response.body?.cancel();
    if (request.redirect === 'error') throw failed(`${url.host} answered with a redirect`);
    if (redirects === MAX_REDIRECTS) throw failed(`${url.host} redirected more than ${MAX_REDIRECTS} times`);
    checkHost(hosts, location, url);
    message = redirectedMessage({ ...message, method: sent.method }, response.status, url, location);
    url = location;
    exchange.host = url.host;
  }
}

/** One fetch from its call to the end of both bodies. It ends once: by completion, failure, its time, or its caller. */
class Exchange {
  /** The host that is being asked, for messages. */
  host = 'the host';
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal | undefined;
  readonly #limits: Limits;
  readonly #onEnd: () => void;
  readonly #upload: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor({ body, signal }: FetchRequest, limits: Limits, onEnd: () => void) {
    this.#limits = limits;
    this.#onEnd = onEnd;
    this.#upload = body?.getReader();
    this.#timer = setTimeout(
      () => this.fail(failed(`${this.host} took longer than ${limits.timeout} ms`)),
      limits.timeout,
    );
    this.#caller = signal;
    signal?.addEventListener('abort', this.#cancelled);
  }

  /** Fires when the exchange failed; its reason is the ApiError. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends the exchange. @returns what it failed of: the first failure counts, what comes after it is its consequence */
  fail(error: unknown): ApiError {
    if (!this.signal.aborted) {
      this.#abort.abort(toApiError(error, this.host));
      this.#end();
    }
    return this.signal.reason as ApiError;
  }

  /** The request's body: bytes if it is small, else a stream that can be sent once. */
  async upload(): Promise<Message['body']> {
    const reader = this.#upload;
    if (reader === undefined) return null;
    const { maxRequestBytes } = this.#limits;
    let total = 0;
    const read = async (): Promise<Uint8Array | undefined> => {
      const { done, value } = await reader.read();
      if (done) return undefined;
      total += value.length;
      if (total > maxRequestBytes) throw failed(`the request's body has more than ${maxRequestBytes} bytes`);
      return value;
    };

    const held: Uint8Array[] = [];
    while (total <= HELD_BYTES) {
      const chunk = await read();
      if (chunk === undefined) return Buffer.concat(held);
      held.push(chunk);
    }
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const chunk = held.shift() ?? (await read());
            if (chunk === undefined) controller.close();
            else controller.enqueue(chunk);
          } catch (error) {
            controller.error(this.fail(error));
          }
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** The response's body, counted as it is after decoding: a few kilobytes of gzip may hold gigabytes. */
  download(response: Response): ReadableStream<Uint8Array> | null {
    const { body } = response;
    if (body === null) {
      this.#end();
      return null;
    }
    const { maxResponseBytes } = this.#limits;
    const tooLarge = () => failed(`the body from ${this.host} has more than ${maxResponseBytes} bytes`);
    const encoding = response.headers.get('content-encoding');
    // Layers of empty gzip members decode for ever and give no byte that could be counted.
    if (encoding?.includes(',')) throw failed(`${this.host} encoded its answer more than once (${encoding})`);
    if (encoding === null && Number(response.headers.get('content-length')) > maxResponseBytes) throw tooLarge();

    const reader = body.getReader();
    let total = 0;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const { done, value } = await reader.read();
            this.signal.throwIfAborted();
            if (done) {
              this.#end();
              controller.close();
              return;
            }
            total += value.length;
            if (total > maxResponseBytes) throw tooLarge();
            controller.enqueue(value);
          } catch (error) {
            controller.error(this.fail(error));
          }
        },
        cancel: () => {
          this.fail(failed('the response was not read to its end'));
        },
      },
      { highWaterMark: 0 },
    );
  }

  readonly #cancelled = (): void => {
    this.fail(failed('the request was cancelled'));
  };

  #end(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#cancelled);
    // Whatever was not sent by now is not wanted; a source that cannot be told so is its owner's business.
    this.#upload?.cancel().catch(() => {});
    this.#onEnd();
  }
}

interface Message {
  readonly method: string;
  readonly headers: Headers;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
}

/** Resolves names itself and gives the socket only addresses that were checked: asking DNS twice would be answered twice. */
function guardedAgent(hosts: HostGrants, { lookup, timeout, maxResponseBytes, maxUnderWay }: Limits): Agent {
  const guardedLookup =
    (url: URL): LookupFunction =>
    (hostname, options, callback) => {
      lookup(hostname).then(
        (found) => {
          const allowed = found.filter(({ address }) => hosts.allowsAddress(url, address));
          const [first] = allowed;
          if (first === undefined) callback(privateAddress(url, found), []);
          else if (options.all) callback(null, allowed);
          else callback(null, first.address, first.family);
        },
        (error: NodeJS.ErrnoException) => callback(error, []),
      );
    };

  // Sockets outlive their exchanges, idle or still connecting: a module that asks a thousand names of its own and gives
  // up at once would hold a thousand descriptors.
  const maxSockets = 2 * maxUnderWay;
  let sockets = 0;
  const connectTo = (url: URL): buildConnector.connector => {
    const connector = buildConnector({ timeout: Math.min(timeout, 10_000), lookup: guardedLookup(url) });
    return (options, callback) => {
      if (sockets >= maxSockets) {
        callback(new ApiError('QuotaExceeded', `${maxSockets} connections to the network are open already`), null);
        return;
      }
      sockets += 1;
      connector(options, (...[error, socket]) => {
        if (error !== null) {
          sockets -= 1;
          return callback(error, null);
        }
        socket.once('close', () => {
          sockets -= 1;
        });
        callback(null, socket);
      });
    };
  };

  return new Agent({
    factory: (origin, options) => new Pool(origin, { ...options, connect: connectTo(new URL(origin)) }),
    headersTimeout: timeout,
    bodyTimeout: timeout,
    // A server may ask for ten minutes of an idle connection.
    keepAliveMaxTimeout: 4_000,
    // Of encoded bytes. What arrives is counted once decoded; this is for what decodes to nothing.
    maxResponseSize: 2 * maxResponseBytes,
  });
}

/** What a name inside the network resolves to is for the admin's log (`cause`); a module would draw a map of it. */
function privateAddress(url: URL, found: readonly LookupAddress[]): ApiError {
  const error = permissionDenied(
    `${url.host} leads to an address that is not public, which must be granted as such`,
    grantLine({ network: [url.port === '' ? '<address>' : `<address>:${url.port}`] }),
  );
  error.cause = new Error(`${url.hostname} resolves to ${found.map(({ address }) => address).join(', ') || 'nothing'}`);
  return error;
}

/** These say how a message travels: from a module they could end it early and begin one that was never checked. */
const hopByHop = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function allowedHeaders(pairs: FetchRequest['headers']): Headers {
  const headers = new Headers();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || lower.startsWith('proxy-')) continue;
    orInvalid(() => headers.append(name, value));
  }
  return headers;
}

function toRequest(url: URL, message: Message, signal: AbortSignal): Request {
  return orInvalid(() => new Request(url, { ...message, redirect: 'manual', duplex: 'half', signal }));
}

const redirectStatuses = new Set([301, 302, 303, 307, 308]);

function locationOf(response: Response, base: URL): URL | undefined {
  const location = response.headers.get('location');
  if (location === null || !redirectStatuses.has(response.status)) return undefined;
  if (!URL.canParse(location, base.href)) throw failed(`${base.host} redirected to what is no URL`);
  return new URL(location, base);
}

/** What is sent on to where a redirect leads. @see https://fetch.spec.whatwg.org/#http-redirect-fetch */
function redirectedMessage({ method, headers, body }: Message, status: number, from: URL, to: URL): Message {
  const passed = new Headers(headers);
  // A granted host may redirect to another one: that one must not get what the module proves itself with to the first.
  if (from.origin !== to.origin) for (const name of ['authorization', 'cookie']) passed.delete(name);

  const becomesGet = status === 303 ? method !== 'GET' && method !== 'HEAD' : status < 303 && method === 'POST';
  if (becomesGet) {
    for (const name of ['encoding', 'language', 'location', 'type']) passed.delete(`content-${name}`);
    return { method: 'GET', headers: passed, body: null };
  }
  if (body instanceof ReadableStream) {
    throw failed(`${from.host} redirected after a body of more than ${HELD_BYTES} bytes, which cannot be sent again`);
  }
  return { method, headers: passed, body };
}

function withoutFragment(url: URL): string {
  const copy = new URL(url);
  copy.hash = '';
  return copy.href;
}

function orInvalid<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ApiError('InvalidArgument', error instanceof Error ? error.message : 'the request is not valid');
  }
}

/** Of foreign errors only the code is passed on: their texts name addresses inside the network. */
function toApiError(error: unknown, host: string): ApiError {
  let code: string | undefined;
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof ApiError) return link;
    if ('code' in link && typeof link.code === 'string') code = link.code;
  }
  const failure = failed(`the request to ${host} failed${code === undefined ? '' : `: ${code}`}`);
  failure.cause = error;
  return failure;
}
