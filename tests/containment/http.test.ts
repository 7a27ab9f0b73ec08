// Modules as web servers: what reaches them of a request, and what reaches a client of their answers.

import { request } from 'node:http';
import type { Socket } from 'node:net';
import {
  type Attack,
  answered,
  either,
  livesOn,
  refused,
  restarted,
  type Seen,
  status,
  type Target,
  whenRequested,
  whenRequestedToTheEnd,
} from './harness/attack.ts';
import { type Answer, manyWhoGoAway } from './harness/http.ts';
import { containmentSuite } from './harness/suite.ts';

const web = (name: string, exported: string, holds: Attack['holds'], more: Partial<Attack> = {}): Attack => ({
  name,
  module: `http.ts#${exported}`,
  entry: { timeout: '2s' },
  provoke: whenRequested,
  holds,
  layer: 'response filter',
  ...more,
});

const refusedPath = either(
  refused('SetupFailed'),
  refused('NotGranted'),
  refused('ReservedPath'),
  refused('InvalidRegistration'),
);
/** Even with every path granted. */
const path = (name: string, exported: string, more: Partial<Attack> = {}): Attack =>
  web(name, exported, refusedPath, {
    entry: { permissions: { web_paths: ['/*'] } },
    provoke: undefined,
    layer: 'reserved paths',
    ...more,
  });

const HEAD = '/_synapse/client/attacker HTTP/1.1\r\nHost: example.com\r\n';
const CREDENTIALS = {
  authorization: 'Bearer token-of-alice',
  cookie: 'session=token-of-alice',
  'proxy-authorization': 'Basic token-of-alice',
  referer: 'https://example.com/page?access_token=token-of-alice',
};
const withCredentials = (target: Target): Promise<Answer> =>
  target.request('/_synapse/client/attacker?a=1&access_token=token-of-alice&access%5Ftoken=token-of-alice', {
    headers: CREDENTIALS,
  });

const headersOf = ({ answer }: Seen): Answer['headers'] => (answer as Partial<Answer>)?.headers ?? {};
const without =
  (...names: readonly string[]) =>
  (seen: Seen): string | undefined => {
    const there = names.filter((name) => headersOf(seen)[name] !== undefined);
    return there.length === 0
      ? undefined
      : `the client got ${there.map((name) => `${name}: ${headersOf(seen)[name]}`)}`;
  };
const withHeader =
  (name: string, value: RegExp) =>
  (seen: Seen): string | undefined =>
    value.test(String(headersOf(seen)[name])) ? undefined : `the client got ${name}: ${headersOf(seen)[name]}`;

const noToken = ({ answer }: Seen): string | undefined => {
  const { body = 'token-of-alice' } = (answer ?? {}) as Partial<Answer>;
  return body.includes('token-of') ? `it got a token: ${body}` : undefined;
};

const attacks: readonly Attack[] = [
  // Paths
  path('the path of the login', 'Plain'),
  path('the same with dots', 'Dots'),
  path('the same with encoded dots', 'EncodedDots', { variant: true }),
  path('the same with more slashes', 'Slashes', { variant: true }),
  path('the same, encoded', 'Encoded'),
  path('the same, encoded twice', 'EncodedTwice', { variant: true }),
  path('the same with an encoded slash', 'EncodedSlash', { variant: true }),
  path('the same with backslashes', 'Backslash', { variant: true }),
  path('the same in capitals', 'Case', { variant: true }),
  path('the same with a tab', 'Tab', { variant: true }),
  path('a path with a query that climbs', 'Query', { variant: true }),
  path('the path of .well-known', 'WellKnown', { variant: true }),
  path('the path of the admin API', 'Admin', { variant: true }),
  path('all paths', 'Root'),
  path('a URL instead of a path', 'NoPath', { variant: true }),

  // Heads
  web('a header with a line break', 'LineBreaks', [status(500), without('set-cookie'), livesOn]),
  web('a header whose name has a line break', 'LineBreaksInName', [status(500), without('set-cookie'), livesOn], {
    variant: true,
  }),
  web('the status 0', 'Status0', [either(status(500), status(502)), livesOn]),
  web('the status 101', 'Status101', [either(status(500), status(502)), livesOn], { variant: true }),
  web('the status 999', 'Status999', [either(status(500), status(502)), livesOn], { variant: true }),
  web('an answer that is no response', 'NoResponse', [either(status(500), status(502)), livesOn]),
  web('headers of the connection', 'HopByHop', [
    status(200),
    answered(/200 hello/),
    without('te', 'trailer', 'upgrade', 'proxy-authenticate'),
    withHeader('x-fine', /yes/),
    ({ answer }) =>
      /1000|x-secret/.test(JSON.stringify((answer as Answer).headers)) ? 'its headers got through' : undefined,
    livesOn,
  ]),
  // Whether it has made them in time is up to the machine.
  web('10,000 headers', 'ManyHeaders', [either(status(500), status(502), status(504)), either(livesOn, restarted)]),
  web('a header of 100 kB', 'LargeHeader', [either(status(500), status(502)), livesOn], { variant: true }),
  web('cookies, and a service worker for all paths', 'Cookies', [
    status(200),
    without('set-cookie', 'service-worker-allowed'),
    livesOn,
  ]),
  web('a script on the homeserver’s origin', 'Script', [
    withHeader('content-security-policy', /sandbox(?!.*allow-same-origin)/),
    withHeader('x-content-type-options', /nosniff/),
    livesOn,
  ]),
  web('a script that says to be text', 'Sniffed', [withHeader('x-content-type-options', /nosniff/), livesOn], {
    variant: true,
  }),

  // Bodies
  web('a body that stalls, for 50 clients that go away', 'Stalls', [answered(/gone/), livesOn], {
    provoke: ({ port }) => manyWhoGoAway(port, 50, `GET ${HEAD}\r\n`),
    layer: 'cancellation',
  }),
  web('no answer at all', 'Silent', [status(504), livesOn], { layer: 'timeout' }),
  web('a body that breaks off', 'BreaksOff', [answered(/aborted|hang up/), livesOn], {
    provoke: whenRequestedToTheEnd,
  }),
  web('a body that is no bytes', 'NotBytes', [either(answered(/aborted|hang up/), status(500), status(502)), livesOn], {
    provoke: whenRequestedToTheEnd,
    variant: true,
  }),
  web(
    'a request of 20 MB that nobody reads',
    'ReadsNothing',
    [either(status(413), status(200), answered(/aborted|hang up|EPIPE|ECONNRESET/)), livesOn],
    {
      provoke: (target) => sends(target, 20),
      layer: 'limit of request bodies, back-pressure',
    },
  ),
  web('a request of 20 MB', 'ReadsAll', [either(status(413), answered(/aborted|hang up|EPIPE|ECONNRESET/)), livesOn], {
    provoke: (target) => sends(target, 20),
    layer: 'limit of request bodies',
    variant: true,
  }),
  web('50 clients that send a byte a second', 'ReadsAll', [answered(/gone/), either(livesOn, restarted)], {
    provoke: ({ port }) =>
      manyWhoGoAway(port, 50, `POST ${HEAD}Content-Length: 1000\r\n\r\n`, (socket) => dawdle(socket)),
    layer: 'cancellation',
  }),

  // Requests
  web('tokens and cookies of users', 'Tells', [status(200), answered(/attacker/), noToken, livesOn], {
    provoke: withCredentials,
    layer: 'request filter',
  }),
  web(
    'the token of a user whom it may know',
    'TellsWho',
    [status(200), answered(/@alice:example\.com/), noToken, livesOn],
    {
      entry: { permissions: { users: ['read'] } },
      provoke: withCredentials,
      layer: 'request filter',
      variant: true,
    },
  ),
];

const dawdle = (socket: Socket): void => {
  const timer = setInterval(() => socket.write('x'), 300);
  socket.on('close', () => clearInterval(timer));
};

/** @param mebibytes sent without a length, so that nobody can refuse them beforehand */
function sends(target: Target, mebibytes: number): Promise<unknown> {
  return new Promise((resolve) => {
    const fail = (error: Error): void => resolve({ status: 0, headers: {}, body: error.message });
    const sent = request({ port: target.port, path: '/_synapse/client/attacker', method: 'POST' }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('error', fail);
      response.on('end', () => {
        sent.destroy();
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    });
    sent.on('error', fail);
    const piece = new Uint8Array(2 ** 20);
    let left = mebibytes;
    const write = (): void => {
      while (left-- > 0) {
        if (!sent.write(piece)) {
          sent.once('drain', write);
          return;
        }
      }
      sent.end();
    };
    write();
  });
}

await containmentSuite('http', attacks);
