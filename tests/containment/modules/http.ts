// Modules that answer requests with what no client should get, or want paths and words that are not theirs.

import type { ModuleApi } from '@bulkhead/sdk';
import { inConstructor, inRequest } from './attacker.ts';

// biome-ignore lint/suspicious/noExplicitAny: lies have no type
type Any = any;

const wants = (path: string) => inConstructor((api) => api.registerWebResource(path, () => new Response('mine')));

// Paths that are the homeserver's

export const Plain = wants('/_matrix/client/v3/login');
export const Dots = wants('/_synapse/client/../../_matrix/client/v3/login');
export const EncodedDots = wants('/_synapse/client/%2e%2e/%2E%2E/_matrix/client');
export const Slashes = wants('//_matrix///client/');
export const Encoded = wants('/%5Fmatrix/client');
export const EncodedTwice = wants('/%255Fmatrix/client');
export const EncodedSlash = wants('/_matrix%2fclient');
export const Backslash = wants('\\_matrix\\client');
export const Case = wants('/_MATRIX/client');
export const Tab = wants('/_mat\trix/client');
export const Query = wants('/_synapse/client?/../../_matrix');
export const WellKnown = wants('/.well-known/matrix/client');
export const Admin = wants('/_synapse/admin/v1/register');
export const Root = wants('/');
export const NoPath = wants('https://example.com/_matrix');

// Heads of responses

export const LineBreaks = inRequest(() => new Response('x', { headers: { 'x-one': 'a\r\nset-cookie: session=mine' } }));
export const LineBreaksInName = inRequest(
  () => new Response('x', { headers: { 'x-one\r\nset-cookie': 'session=mine' } }),
);
export const Status0 = inRequest(() => Response.error());
export const Status101 = inRequest(() => new Response(null, { status: 101 }));
export const Status999 = inRequest(() => new Response('x', { status: 999 }));
export const NoResponse = inRequest(() => ({ status: 200, headers: [], body: 'x' }) as Any);
export const HopByHop = inRequest(
  () =>
    new Response('hello', {
      headers: {
        connection: 'close, x-secret',
        'keep-alive': 'timeout=1000',
        'transfer-encoding': 'chunked',
        te: 'trailers',
        trailer: 'x-trailer',
        upgrade: 'h2c',
        'proxy-authenticate': 'Basic',
        'content-length': '5000',
        'x-fine': 'yes',
      },
    }),
);
export const ManyHeaders = inRequest(
  () => new Response('x', { headers: Array.from({ length: 10_000 }, (_, i): [string, string] => [`x-${i}`, 'x']) }),
);
export const LargeHeader = inRequest(() => new Response('x', { headers: { 'x-large': 'x'.repeat(100_000) } }));
export const Cookies = inRequest(
  () =>
    new Response('x', {
      headers: [
        ['set-cookie', 'session=mine; Path=/'],
        ['Set-Cookie', 'other=mine'],
        ['service-worker-allowed', '/'],
      ],
    }),
);
export const Script = inRequest(
  () =>
    new Response('<script>fetch("/_matrix/client/v3/account/whoami")</script>', {
      headers: { 'content-type': 'text/html', 'content-security-policy': "default-src *; script-src 'unsafe-inline'" },
    }),
);
export const Sniffed = inRequest(
  () => new Response('<script>alert(1)</script>', { headers: { 'content-type': 'text/plain' } }),
);

// Bodies

export const Stalls = inRequest(
  () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
      }),
    ),
);
export const Silent = inRequest(() => new Promise<never>(() => {}));
export const BreaksOff = inRequest(
  () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new Uint8Array(10));
          controller.error(new Error('broken'));
        },
      }),
    ),
);
export const NotBytes = inRequest(
  () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue({ length: 10 ** 9 } as Any);
          controller.close();
        },
      }),
    ),
);
export const ReadsNothing = inRequest(() => new Response('read nothing'));
export const ReadsAll = inRequest(async (_api, request) => `read ${(await request.arrayBuffer()).byteLength}`);

// What it gets of a request

const everything = (request: Request): string =>
  JSON.stringify({ url: request.url, headers: [...request.headers], referrer: request.referrer });
export const Tells = inRequest((_api, request) => everything(request));
/** It knows who it is, and no more than that. */
export const TellsWho = inRequest(async (api: ModuleApi, request) => {
  const requester = await api.getUserByRequest(request);
  return `${requester.userId} ${everything(request)}`;
});
