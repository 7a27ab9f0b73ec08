// Modules that lie: in answers, registrations, raw bytes, and by changing what their own bootstrap builds upon. A lie costs the liar its
// call or its cell; nobody believes it.

import {
  type Attack,
  all,
  allowed,
  answered,
  askedUntil,
  either,
  ended,
  failed,
  inState,
  livesOn,
  notEnded,
  restarted,
  type Seen,
  type Target,
  whenAsked,
} from './harness/attack.ts';
import { type Answer, sleep } from './harness/http.ts';
import { message } from './harness/probes.ts';
import { containmentSuite } from './harness/suite.ts';
import type { SeenOutcome } from './harness/victim.ts';

const lie = (name: string, exported: string, holds: Attack['holds'], more: Partial<Attack> = {}): Attack => ({
  name,
  module: `deceive.ts#${exported}`,
  entry: { timeout: '2s', breaker: { failures: 1_000 } },
  provoke: whenAsked,
  holds,
  layer: 'judgement of answers',
  ...more,
});

/** Asked about an event of a client that wants to send it. */
const whenSent = (target: Target): Promise<Answer> =>
  target.request('/send', { body: JSON.stringify(message('hello', { attack: target.id })) });

const ruledOn = (target: Target): Promise<SeenOutcome> =>
  target.call('checkEventAllowed', message('hello', { attack: target.id }));

const rule = (name: string, exported: string, holds: Attack['holds'], more: Partial<Attack> = {}): Attack =>
  lie(name, exported, holds, { provoke: ruledOn, ...more });

const broke = ended(/broke the protocol/);

/** Bytes that never came through its bootstrap; in a thread with Node it can write to its socket. */
const bytes = (
  name: string,
  exported: string,
  holds: Attack['holds'] = [broke, restarted],
  more: Partial<Attack> = {},
): Attack =>
  lie(name, exported, holds, {
    entry: { timeout: '2s', isolation: 'thread', breaker: { failures: 1_000 } },
    provoke: askedTwice,
    layer: 'channel',
    thread: { lost: 'there is no socket to write to; its port is out of reach' },
    ...more,
  });
const comlink = (name: string, exported: string, more: Partial<Attack> = {}): Attack =>
  bytes(`a raw message of Comlink’s: ${name}`, exported, [broke, restarted], {
    layer: 'guard before Comlink',
    ...more,
  });

const attacks: readonly Attack[] = [
  // Answers
  lie('30 answers that are none', 'Nonsense', [everyOneFailed, livesOn], { provoke: askedUntil('all told') }),
  lie('a refusal that signs users out by its extra fields', 'Extra', [refusedAsItMay, livesOn], { provoke: whenSent }),
  lie('a thenable that settles twice', 'Thenable', [allowed, livesOn], { variant: true }),
  rule('a replacement in another room', 'OtherRoom', [failed('wrong_type', /room_id/), livesOn]),
  rule('a replacement of another type', 'OtherType', [failed('wrong_type', /type/), livesOn], { variant: true }),
  rule('a replacement by a sender of another server', 'OtherSender', [failed('wrong_type', /local user/), livesOn]),
  rule('a replacement whose sender is no text', 'NoSender', [failed('wrong_type'), livesOn], { variant: true }),
  rule('a replacement with signatures and an id of its own', 'OwnSignatures', [withoutSignatures, livesOn]),
  lie('presence that nobody gave', 'Presence', [onlyWhatWasGiven, livesOn], {
    provoke: (target) => target.call('getUsersForStates', [presence]),
  }),

  // Registrations and lines
  lie('registering after set-up', 'Late', [answered(/did it: nothing: .*set/), livesOn], { layer: 'registry' }),
  lie('log lines that look like the host’s', 'Lines', [failed('threw'), noControlCharacters, livesOn], {
    layer: 'log',
  }),

  // Tampering
  lie('changing what the bootstrap builds upon', 'Tampers', [answered(/did it: nothing/), livesOn], {
    provoke: askedTwice,
    layer: 'SES compartment',
    without: { layers: ['ses'], shows: answered(/did it: (?!nothing)/) },
  }),
  lie(
    'breaking its own bootstrap, in a thread with Node',
    'TampersWithNode',
    [
      ({ answer }) => (Array.isArray(answer) ? undefined : 'it is still being asked'),
      either(livesOn, restarted, inState('parked', 'restarting')),
    ],
    {
      entry: { timeout: '500ms', isolation: 'thread' },
      provoke: askedTwice,
      layer: 'deadline and vigil',
      endsHull: true,
      thread: { lost: 'not tried: what it breaks in its thread, it breaks there alone' },
    },
  ),

  // Bytes
  bytes('answers that nobody waits for, each twice', 'StrayAnswers', [allowed, livesOn]),
  bytes('pongs that nobody asked for', 'StrayPongs', [allowed, livesOn], { variant: true }),
  bytes('being ready again, as another thread', 'ReadyAgain', [allowed, livesOn], { variant: true }),
  bytes('a web response for an answer to a call', 'ResponseToACall', undefined, { variant: true }),
  bytes('a record of no known type', 'UnknownRecord'),
  bytes('a record that only the host sends', 'HostsRecord', undefined, { variant: true }),
  bytes('a record that says to be 2 GB', 'Oversized', undefined, {
    without: { layers: ['record_limits'], shows: notEnded, afterMs: 1_500 },
  }),
  bytes('a log line of 500 kB', 'OversizedLog', undefined, { variant: true }),
  bytes('random bytes', 'Garbage'),
  bytes('100,000 brackets', 'DeepRecord', undefined, { layer: 'depth limit' }),
  bytes('a piece of a stream that is not there', 'StrayChunk', either(all(broke, restarted), livesOn), {
    variant: true,
  }),
  bytes('requests for streams that are not there', 'HugePull', either(all(broke, restarted), livesOn), {
    variant: true,
  }),
  comlink('GET of a constructor', 'ComlinkGet'),
  comlink('SET of a method', 'ComlinkSet', {
    without: { layers: ['comlink_guard'], shows: notEnded, afterMs: 1_500 },
  }),
  comlink('CONSTRUCT', 'ComlinkConstruct', { variant: true }),
  comlink('RELEASE', 'ComlinkRelease', { variant: true }),
  comlink('ENDPOINT', 'ComlinkEndpoint', { variant: true }),
  comlink('APPLY through __proto__', 'ComlinkProto', { variant: true }),
  comlink('APPLY of a constructor', 'ComlinkConstructor', { variant: true }),
  comlink('APPLY of the constructor of a method', 'ComlinkDeep', { variant: true }),
  comlink('an argument for a handler that is not there', 'ComlinkHandler'),
  comlink('an argument for the handler of thrown values', 'ComlinkThrow', { variant: true }),
  comlink('an argument for the handler of proxies', 'ComlinkProxy', { variant: true }),
];

const presence = {
  user_id: '@alice:example.com',
  state: 'online',
  last_active_ts: 1,
  last_federation_update_ts: 2,
  last_user_sync_ts: 3,
  status_msg: null,
  currently_active: true,
};

async function askedTwice(target: Target): Promise<readonly SeenOutcome[]> {
  const first = await target.ask();
  await sleep(200);
  return [first, await target.ask({ later: true })];
}

function everyOneFailed({ answer }: Seen): string | undefined {
  if (!Array.isArray(answer)) return 'it is still being asked';
  const told = (answer as readonly SeenOutcome[]).slice(0, -1);
  if (told.length !== 30) return `${told.length} answers were given`;
  const believed = told.findIndex(({ failures, allowed }) => failures.length !== 1 || allowed !== false);
  return believed < 0 ? undefined : `answer ${believed} was believed: ${JSON.stringify(told[believed])}`;
}

function refusedAsItMay({ answer }: Seen): string | undefined {
  const { status, body } = answer as Answer;
  const expected = JSON.stringify({ why: 'because', errcode: 'ORG_EXAMPLE_NO', error: 'no' });
  return status === 403 && body === expected ? undefined : `the client got ${status} ${body}`;
}

function withoutSignatures({ answer }: Seen): string | undefined {
  const { replacement, event } = answer as { replacement?: object; event?: object };
  const taken = Object.keys(replacement ?? event ?? {});
  const bad = ['signatures', 'hashes', 'auth_events', 'depth', 'event_id'].filter((key) => taken.includes(key));
  return taken.length > 0 && bad.length === 0 ? undefined : `it got through with ${bad}: ${JSON.stringify(answer)}`;
}

function onlyWhatWasGiven({ answer }: Seen): string | undefined {
  const text = JSON.stringify(answer);
  return /boss|invented|offline/.test(text) ? `it was believed: ${text}` : undefined;
}

/** Tabs and ends of lines are written as what they are in a string. */
function noControlCharacters({ log, id }: Seen): string | undefined {
  const own = log.filter(({ module }) => module === id);
  if (own.length < 2) return 'nothing was logged';
  const bad = own.find(({ message: text }) => /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(text));
  return bad === undefined ? undefined : `in the log: ${JSON.stringify(bad.message)}`;
}

await containmentSuite('deceive', attacks);
