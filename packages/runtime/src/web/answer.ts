// A request to a web resource: what of it may enter a cell, and what of the response may leave.

import * as v from 'valibot';
import type { ModuleEntry } from '../config/entry.js';
import type { AskedAnswer } from '../dispatch/call.js';
import { parseHostile } from '../dispatch/hostile.js';
import type { Life } from '../supervision/life.js';
import { whenOver } from '../wire/body.js';
import { RecordType, type RequestBody } from '../wire/record.js';
import type { Route } from './routes.js';

/** With these a module could become its users. */
const CREDENTIALS = ['authorization', 'cookie', 'proxy-authorization'];
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];
const SANDBOX = "sandbox allow-forms allow-scripts; default-src 'self' 'unsafe-inline' data:";

const MEBIBYTE = 1024 * 1024;
const NULL_BODY = [204, 205, 304];
const HEAD_TIMEOUT_MS = 30_000;
/** How long a request waits at most for a module that begins anew. */
const NEXT_LIFE_MS = 5_000;

export interface WebLimits {
  /** Bytes. */
  readonly request?: number;
  readonly response?: number;
}

const ResponseHead = v.object({
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  statusText: v.pipe(v.string(), v.maxLength(200), v.regex(/^[\t\x20-\x7e]*$/)),
  headers: v.pipe(
    v.array(v.tuple([v.pipe(v.string(), v.maxLength(200)), v.pipe(v.string(), v.maxLength(16_384))])),
    v.maxLength(200),
  ),
  stream: v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff))),
});

type Head = v.InferOutput<typeof ResponseHead>;

/** Lets the route's module answer. Never rejects: a dead module gives 503, a slow one 504, a nonsensical one 502. */
export async function answerRequest(route: Route, request: Request, limits: WebLimits = {}): Promise<Response> {
  const { entry } = route.module;
  const life = await route.module.present(Math.min(entry.timeout ?? HEAD_TIMEOUT_MS, NEXT_LIFE_MS));
  if (life === undefined) return unavailable();
  const { request: most = 10 * MEBIBYTE, response: mostBack = 50 * MEBIBYTE } = limits;
  if (Number(request.headers.get('content-length')) > most) return tooLarge(most);
  const exchange = new Exchange(route, request, life, most);
  const answer = await exchange.head();
  switch (answer) {
    case 'gone':
      return matrixResponse(499, 'The client went away');
    case 'too large':
      return tooLarge(most);
    case 'late':
      route.module.doubt(life);
      return matrixResponse(504, 'The module that answers this path did not answer in time');
  }
  if (answer.kind === 'failed') return unavailable();
  if (answer.kind !== 'value' && answer.kind !== 'packed') {
    return matrixResponse(500, 'The module that answers this path failed');
  }
  try {
    const isPacked = answer.kind === 'packed';
    const head = v.parse(ResponseHead, parseHostile(isPacked ? answer.head : answer.text));
    return exchange.respond(head, isPacked ? answer.bytes : exchange.stream(head, mostBack), entry);
  } catch {
    exchange.cancel();
    return matrixResponse(502, 'The module that answers this path gave no valid response');
  }
}

/** One request and its response. It is under way until the last byte of the response's body, or until somebody goes away. */
class Exchange {
  readonly #request: Request;
  readonly #life: Life;
  readonly #asked: ReturnType<Life['channel']['ask']>;
  readonly #timeoutMs: number;
  readonly #gone: Promise<'gone' | 'too large'>;
  #giveUp: (why: 'gone' | 'too large') => void = () => {};

  constructor({ module: { entry }, resource }: Route, request: Request, life: Life, most: number) {
    this.#request = request;
    this.#life = life;
    this.#timeoutMs = entry.timeout ?? HEAD_TIMEOUT_MS;
    const { url, headers } = withoutCredentials(request, entry.permissions.web.includes('credentials'));
    this.#gone = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    const exceeded = (): void => this.#giveUp('too large');
    const given = bodyOf(request);
    const stream = given === null ? null : life.channel.streams.send(limited(given, most, exceeded));
    const body: RequestBody = { resource, method: request.method, url, headers, stream };
    this.#asked = life.channel.ask(RecordType.request, JSON.stringify(body));
    life.requests.set(this.#asked.id, request);
    request.signal.addEventListener('abort', this.#abort, { once: true });
    if (request.signal.aborted) this.#abort();
  }

  async head(): Promise<AskedAnswer | 'gone' | 'too large' | 'late'> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, this.#timeoutMs, 'late');
    });
    const answer = await Promise.race([this.#asked.answer, this.#gone, late]);
    clearTimeout(timer);
    if (typeof answer === 'string') this.cancel();
    // Whatever has a head may have a body to come.
    else if (answer.kind !== 'value' && answer.kind !== 'packed') this.#over();
    return answer;
  }

  /** The body that is still to come, of so many bytes at most. */
  stream({ stream }: Head, most: number): ReadableStream<Uint8Array> | null {
    return stream === null ? null : this.#life.channel.streams.receive(stream, { limit: most });
  }

  respond(head: Head, body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null, entry: ModuleEntry): Response {
    const headers = new Headers();
    for (const [name, value] of head.headers) if (mayLeave(name, entry)) headers.append(name, value);
    headers.set('x-content-type-options', 'nosniff');
    if (/html|xml|svg/i.test(headers.get('content-type') ?? '')) headers.append('content-security-policy', SANDBOX);
    const init = { status: head.status, statusText: head.statusText, headers };
    const mayHaveBody = !NULL_BODY.includes(head.status) && this.#request.method !== 'HEAD';
    if (body instanceof ReadableStream && mayHaveBody) {
      const over = (complete: boolean): void => (complete ? this.#over() : this.cancel());
      return new Response(whenOver(body, over), init);
    }
    if (body instanceof ReadableStream) void body.cancel();
    this.#over();
    return new Response(mayHaveBody ? (body as Uint8Array<ArrayBuffer> | null) : null, init);
  }

  /** Tells the module that nobody waits any more. */
  cancel(): void {
    this.#asked.cancel();
    this.#over();
  }

  readonly #abort = (): void => {
    this.cancel();
    this.#giveUp('gone');
  };

  #over(): void {
    this.#request.signal.removeEventListener('abort', this.#abort);
    this.#life.requests.delete(this.#asked.id);
  }
}

/** Servers make the whole of Node's own `Request` for whoever looks at a body, and these have none. */
const bodyOf = (request: Request): Request['body'] =>
  request.method === 'GET' || request.method === 'HEAD' ? null : request.body;

function mayLeave(header: string, { permissions }: ModuleEntry): boolean {
  const name = header.toLowerCase();
  if (name === 'set-cookie') return permissions.web.includes('cookies');
  if (name === 'service-worker-allowed') return permissions.web.includes('service_worker');
  // The length is of what the module sent; whoever serves the response knows his own.
  return !HOP_BY_HOP.includes(name) && name !== 'content-length';
}

function withoutCredentials(request: Request, granted: boolean): { url: string; headers: [string, string][] } {
  if (granted) return { url: request.url, headers: [...request.headers] };
  const headers = [...request.headers].filter(([name]) => !CREDENTIALS.includes(name.toLowerCase()));
  return {
    url: withoutToken(request.url),
    // The page that a client comes from may have been asked for with a token.
    headers: headers.map(([name, value]) => [name, name === 'referer' ? withoutToken(value) : value]),
  };
}

function withoutToken(text: string): string {
  const url = text.includes('?') && URL.canParse(text) ? new URL(text) : undefined;
  if (!url?.searchParams.has('access_token')) return text;
  url.searchParams.delete('access_token');
  return url.href;
}

function limited(body: ReadableStream<Uint8Array>, most: number, exceeded: () => void): ReadableStream<Uint8Array> {
  let total = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        total += chunk.length;
        if (total <= most) {
          controller.enqueue(chunk);
          return;
        }
        controller.error(new RangeError(`the request has more than ${most} bytes`));
        exceeded();
      },
    }),
  );
}

export const unavailable = (): Response =>
  matrixResponse(503, 'The module that answers this path is not available at present');

const tooLarge = (most: number): Response =>
  matrixResponse(413, `The request has more than ${most} bytes`, 'M_TOO_LARGE');

/** An error in the form that Matrix clients expect. */
function matrixResponse(status: number, error: string, errcode = 'M_UNKNOWN'): Response {
  return Response.json({ errcode, error }, { status });
}
