// Modules that send, ask, keep or say without end. The host reads no more than it has time for, keeps no more than it has room for,
// and goes on.

import {
  type Attack,
  allowed,
  answered,
  type Expectation,
  either,
  ended,
  failed,
  hullEnded,
  inState,
  livesOn,
  logged,
  refused,
  restarted,
  type Target,
  whenAsked,
  whenRequestedToTheEnd,
} from './harness/attack.ts';
import { type Answer, manyWhoGoAway } from './harness/http.ts';
import { containmentSuite } from './harness/suite.ts';

/** Its share of the host's time is used up: it is not read for a while, or for ever. */
const heldBack = either(
  logged(/is throttled: limits\.host_time/),
  ended(/floods the host|keeps the host busy|memory|sign of life|blocked/),
);

const flood = (name: string, exported: string, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `flood.ts#${exported}`,
  entry: { timeout: '1s' },
  provoke: whenAsked,
  holds: [allowed, heldBack],
  layer: 'budget of the host’s time',
  ...more,
});

const notThrottled: Expectation = (seen) =>
  logged(/is throttled/)(seen) === undefined ? 'it was throttled' : undefined;
/** Over a port whatever is sent is in this process at once. */
const arrived = {
  lost: 'what it sends is in the homeserver’s process at once, which may stand still for half a second',
};

const attacks: readonly Attack[] = [
  // Calls
  flood('API calls without end', 'Calls', {
    without: { layers: ['host_time'], shows: notThrottled, afterMs: 3_000 },
  }),
  flood('API calls in an endless loop', 'CallsInALoop', {
    holds: [either(failed('module_timeout'), failed('crashed')), ended(/(?:)/), restarted],
    layer: 'deadline and vigil',
  }),
  flood('API calls of a megabyte each', 'LargeCalls', {
    entry: { limits: { memory: '256MiB' } },
    thread: arrived,
    // Whether it makes them as fast as they are read is up to the machine.
    holds: [allowed, either(heldBack, livesOn)],
  }),
  flood('API calls without a permission', 'CallsWithoutPermission', { variant: true, thread: arrived }),
  flood('fetches without a permission', 'FetchesWithoutPermission', { variant: true, thread: arrived }),
  flood('API calls after sleeps', 'SleepsAndCalls', { variant: true }),

  // Lines
  flood('log lines without end', 'Lines', {
    holds: [allowed, heldBack, logged(/log lines of the module were dropped|is ended/)],
    layer: 'budget of the host’s time, rate of log lines',
    without: { layers: ['host_time'], shows: notThrottled, afterMs: 3_000 },
  }),
  flood('log lines of 50 kB', 'LongLines', { variant: true }),
  flood('log lines in an endless loop', 'LinesInALoop', {
    holds: [either(failed('module_timeout'), failed('crashed')), ended(/(?:)/), restarted],
    layer: 'deadline and vigil',
    variant: true,
  }),
  flood('console lines without end', 'ConsoleLines', { variant: true }),

  // Registrations
  flood('200,000 web resources', 'Registrations', {
    provoke: undefined,
    entry: { setup_timeout: '10s', limits: { memory: '256MiB' } },
    holds: refused('SetupFailed'),
    layer: 'limit of registrations',
  }),
  flood('a web resource with a path of 5 MB', 'LongPath', {
    provoke: undefined,
    entry: { limits: { memory: '256MiB' } },
    holds: either(refused('SetupFailed'), refused('InvalidRegistration')),
    layer: 'limit of registrations',
    variant: true,
  }),

  // Web
  flood('a response without end', 'EndlessBody', {
    provoke: whenRequestedToTheEnd,
    holds: [brokeOff, livesOn],
    layer: 'limit of response bodies',
  }),
  flood('a response without end, byte by byte', 'EndlessBytes', {
    provoke: whenRequestedToTheEnd,
    thread: arrived,
    holds: heldBack,
    variant: true,
  }),
  flood('a response of 60 MB', 'LargeBody', {
    entry: { limits: { memory: '256MiB' } },
    provoke: whenRequestedToTheEnd,
    holds: [brokeOff, livesOn],
    layer: 'limit of response bodies',
    variant: true,
  }),
  flood('100 clients that ask and do not read', 'EndlessBody', {
    provoke: withManyWhoDoNotRead,
    holds: [answered(/gone/), either(livesOn, restarted)],
    layer: 'back-pressure',
    thread: arrived,
  }),

  // Answers
  flood('an answer of 100 MB', 'LargeAnswer', {
    entry: { timeout: '20s', limits: { memory: '512MiB' } },
    holds: [failed('too_large'), livesOn],
    layer: 'result limit',
  }),
  flood('an answer 100,000 levels deep', 'DeepAnswer', {
    holds: [either(failed('threw'), failed('wrong_type'), failed('too_large')), livesOn],
    layer: 'stack limit',
    variant: true,
  }),
  flood('an answer 2,000 levels deep', 'QuiteDeepAnswer', {
    holds: [either(failed('wrong_type'), failed('too_large')), livesOn],
    layer: 'depth limit',
  }),

  // What it keeps
  flood('a million timers', 'Timers', { holds: [failed('threw', /timers/), livesOn], layer: 'limit of timers' }),
  flood('9,000 intervals of a millisecond', 'Intervals', {
    holds: [allowed, either(livesOn, restarted)],
    layer: 'priority of the hull',
    variant: true,
  }),
  flood('storage without end', 'Storage', {
    entry: { timeout: '20s', limits: { storage: '1MiB' } },
    holds: [failed('threw', /quota|1 ?MiB|bytes/i), livesOn],
    layer: 'storage quota',
  }),
  flood('500 writes to the storage at once', 'StorageAtOnce', {
    entry: { timeout: '20s', limits: { storage: '1MiB' } },
    holds: [answered(/^(?:1\d|20) of 500/), livesOn],
    layer: 'storage quota, limit of API calls',
    variant: true,
  }),

  // The pool of threads
  flood('a key of 1,000,000,000 iterations', 'Iterations', {
    holds: [failed('threw', /iterations|large|1000000/), livesOn],
    layer: 'bounds of cryptography',
  }),
  flood('900 keys of 1,000,000 iterations each', 'Derivations', {
    holds: [allowed, livesOn],
    layer: 'bounds of cryptography',
  }),
  flood('900 digests of 15 MB', 'Digests', {
    entry: { timeout: '10s', limits: { memory: '256MiB' } },
    holds: [
      either(allowed, failed('threw'), failed('crashed'), failed('module_timeout')),
      either(livesOn, ended(/memory|sign of life/)),
    ],
    layer: 'bounds of cryptography',
    variant: true,
  }),
  flood('100 RSA keys at once', 'RsaKeys', {
    holds: [allowed, livesOn],
    layer: 'bounds of cryptography',
    variant: true,
  }),

  // What only Node has
  flood('messages over a BroadcastChannel', 'Broadcasts', {
    holds: [failed('threw', /BroadcastChannel/), livesOn],
    layer: 'SES compartment',
    without: { layers: ['ses'], shows: answered(/did it: sent/) },
  }),
  flood('warnings without end, in a trusted thread', 'Warnings', {
    entry: { timeout: '1s', isolation: 'thread' },
    holds: [allowed, either(livesOn, restarted, inState('parked'))],
    layer: 'hull of its own',
    thread: { lost: 'a trusted thread shares the homeserver’s streams' },
  }),
  flood('bytes without end on the standard error of its hull', 'StandardError', {
    entry: { timeout: '1s', isolation: 'thread' },
    holds: [allowed, either(livesOn, restarted, inState('parked'))],
    layer: 'limit of what is read of it',
    thread: { lost: 'a trusted thread shares the homeserver’s streams' },
  }),
  flood('lines without end on the control pipe of its hull', 'ControlPipe', {
    entry: { timeout: '1s', isolation: 'thread' },
    holds: [allowed, hullEnded({ known: true, cause: /floods/ })],
    layer: 'limit of what is read of it',
    endsHull: true,
    thread: { lost: 'there is no control pipe to write to, but other descriptors of the homeserver' },
  }),
];

function brokeOff({ answer }: { readonly answer: unknown }): string | undefined {
  const { body } = answer as { body: string };
  return /aborted|socket hang up|terminated/.test(body) ? undefined : `it did not break off: ${body.slice(0, 100)}`;
}

/** Clients that ask for a large page, and do not read it. */
function withManyWhoDoNotRead({ port }: Target): Promise<Answer> {
  return manyWhoGoAway(port, 100, 'GET /_synapse/client/attacker HTTP/1.1\r\nHost: example.com\r\n\r\n');
}

await containmentSuite('flood', attacks);
