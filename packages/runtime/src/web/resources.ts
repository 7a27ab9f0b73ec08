// Modules' web resources: which module answers a path, what of a request may enter a cell, and what of a response may leave.

import * as v from 'valibot';
import type { ModuleEntry } from '../config/entry.js';
import { parseHostile } from '../dispatch/hostile.js';
import type { Life } from '../supervision/life.js';
import { RecordType, type RequestBody } from '../wire/record.js';

/** A module as the web sees it. */
export interface WebModule {
  readonly entry: ModuleEntry;
  readonly life: Life | undefined;
  readonly registered: { readonly resources: readonly string[] };
}

export interface Route {
  readonly path: string;
  readonly module: WebModule;
  readonly resource: number;
}

const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin'];
const USUAL = '/_synapse/client';

/** Which path a module may not register, if any. */
export function reservedPath(path: string, reservedPaths: readonly string[]): string | undefined {
  const wanted = comparable(path);
  return [...RESERVED, ...reservedPaths].find((reserved) => {
    const other = comparable(reserved.replace(/\/?\*$/, ''));
    return isBelow(wanted, other) || isBelow(other, wanted);
  });
}

/** The routes of all modules: the longest path first; of equals the module that stands first in the configuration. */
export function createRoutes(
  modules: readonly WebModule[],
  warn: (module: string, message: string) => void,
): readonly Route[] {
  const taken = new Map<string, Route>();
  for (const module of modules) {
    module.registered.resources.forEach((path, resource) => {
      const key = comparable(path);
      const owner = taken.get(key);
      if (owner !== undefined) {
        warn(module.entry.id, `${path} is answered by ${owner.module.entry.id}, which stands first`);
        return;
      }
      if (!isBelow(key, USUAL)) warn(module.entry.id, `${path} is outside ${USUAL}`);
      taken.set(key, { path: key, module, resource });
    });
  }
  return [...taken.values()].sort((a, b) => b.path.length - a.path.length);
}

/** The route that a URL's path belongs to. */
export function findRoute(routes: readonly Route[], url: URL): Route | undefined {
  if (routes.length === 0) return undefined;
  const path = comparable(url.pathname);
  return routes.find((route) => isBelow(path, route.path));
}

const isBelow = (path: string, base: string): boolean =>
  path === base || path.startsWith(base === '/' ? base : `${base}/`);

/** A path after percent-decoding and removal of dot segments, so that no spelling of it gets past a comparison. */
function comparable(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // Not valid percent-encoding: compared as it is.
  }
  const segments: string[] = [];
  for (const segment of decoded.replaceAll('\\', '/').split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

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

const REQUEST_BYTES = 10 * 1024 * 1024;
const RESPONSE_BYTES = 50 * 1024 * 1024;
const NULL_BODY = [101, 103, 204, 205, 304];
const HEAD_TIMEOUT_MS = 30_000;

const ResponseHead = v.object({
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  statusText: v.pipe(v.string(), v.maxLength(200), v.regex(/^[\t\x20-\x7e]*$/)),
  headers: v.pipe(
    v.array(v.tuple([v.pipe(v.string(), v.maxLength(200)), v.pipe(v.string(), v.maxLength(16_384))])),
    v.maxLength(200),
  ),
  stream: v.nullable(v.pipe(v.number(), v.safeInteger())),
});

/** Lets the route's module answer. Never rejects: a dead module gives 503, a slow one 504, a nonsensical one 502. */
export async function answerRequest(route: Route, request: Request): Promise<Response> {
  const { life, entry } = route.module;
  if (life === undefined) return matrixResponse(503, 'The module that answers this path is not available at present');
  const { channel } = life;
  const stripped = withoutCredentials(request, entry.permissions.web.includes('credentials'));
  const body: RequestBody = {
    resource: route.resource,
    method: request.method,
    url: stripped.url,
    headers: stripped.headers,
    stream: request.body === null ? null : channel.streams.send(limited(request.body, REQUEST_BYTES)),
  };
  const asked = channel.ask(RecordType.request, JSON.stringify(body));
  life.requests.set(asked.id, request);
  const giveUp = (): void => asked.cancel();
  request.signal.addEventListener('abort', giveUp, { once: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await Promise.race([
      asked.answer,
      new Promise<undefined>((resolve) => {
        timer = setTimeout(resolve, entry.timeout ?? HEAD_TIMEOUT_MS, undefined);
      }),
    ]);
    if (answer === undefined) {
      asked.cancel();
      return matrixResponse(504, 'The module that answers this path did not answer in time');
    }
    if (answer.kind === 'failed')
      return matrixResponse(503, 'The module that answers this path is not available at present');
    if (answer.kind !== 'value') return matrixResponse(500, 'The module that answers this path failed');
    const head = v.safeParse(ResponseHead, parseHostile(answer.text));
    if (!head.success) return matrixResponse(502, 'The module that answers this path gave no valid response');
    return toResponse(head.output, life, entry);
  } catch {
    return matrixResponse(502, 'The module that answers this path gave no valid response');
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener('abort', giveUp);
    life.requests.delete(asked.id);
  }
}

function toResponse(head: v.InferOutput<typeof ResponseHead>, { channel }: Life, entry: ModuleEntry): Response {
  const headers = new Headers();
  for (const [name, value] of head.headers) if (mayLeave(name, entry)) headers.append(name, value);
  headers.set('x-content-type-options', 'nosniff');
  if (/html|xml|svg/i.test(headers.get('content-type') ?? '')) headers.append('content-security-policy', SANDBOX);
  const body = head.stream === null ? null : channel.streams.receive(head.stream, { limit: RESPONSE_BYTES });
  return new Response(NULL_BODY.includes(head.status) ? null : body, {
    status: head.status,
    statusText: head.statusText,
    headers,
  });
}

function mayLeave(header: string, { permissions }: ModuleEntry): boolean {
  const name = header.toLowerCase();
  if (name === 'set-cookie') return permissions.web.includes('cookies');
  if (name === 'service-worker-allowed') return permissions.web.includes('service_worker');
  // The length is of what the module sent; whoever serves the response knows his own.
  return !HOP_BY_HOP.includes(name) && name !== 'content-length';
}

function withoutCredentials(request: Request, granted: boolean): { url: string; headers: [string, string][] } {
  if (granted) return { url: request.url, headers: [...request.headers] };
  const url = new URL(request.url);
  if (url.searchParams.has('access_token')) url.searchParams.delete('access_token');
  return {
    url: url.href,
    headers: [...request.headers].filter(([name]) => !CREDENTIALS.includes(name.toLowerCase())),
  };
}

function limited(body: ReadableStream<Uint8Array>, limit: number): ReadableStream<Uint8Array> {
  let total = 0;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        total += chunk.length;
        if (total > limit) controller.error(new RangeError(`the request has more than ${limit} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
}

/** An error in the form that Matrix clients expect. */
function matrixResponse(status: number, error: string): Response {
  return Response.json({ errcode: 'M_UNKNOWN', error }, { status });
}
