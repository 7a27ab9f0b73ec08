// Modules that keep their thread for ever, or for longer than anybody waits: the others do not notice, and it is stopped.

import {
  type Attack,
  all,
  allowed,
  answered,
  burns,
  either,
  ended,
  failed,
  hullEnded,
  inState,
  livesOn,
  logged,
  notEnded,
  refused,
  restarted,
  status,
  type Target,
  whenAsked,
  whenRequested,
} from './harness/attack.ts';
import { containmentSuite } from './harness/suite.ts';

const quick = { timeout: '200ms' };
/** For what takes its time before it hangs. */
const patient = { ...quick, timeout: '1s', limits: { memory: '512MiB' } };

/** At its deadline the call fails; the cell gives no sign of life, is ended, and the next one serves. */
const stopped = [failed('module_timeout'), ended(/no sign of life/), restarted];

const looping = (name: string, exported: string, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `block.ts#${exported}`,
  entry: quick,
  provoke: whenAsked,
  holds: stopped,
  layer: 'deadline and vigil',
  ...more,
});

/** V8 does not let itself be interrupted: the thread outlives its cell, and then the hull goes. */
const unendable = (name: string, exported: string, more: Partial<Attack> = {}): Attack =>
  looping(name, exported, {
    holds: [failed('module_timeout'), hullEnded({ known: true, cause: /SIGKILL/ }), restarted],
    layer: 'escalation to the hull',
    endsHull: true,
    thread: { lost: 'its thread takes a core until the process ends' },
    ...more,
  });

const atStart = (name: string, exported: string, code = 'SetupTimedOut'): Attack => ({
  name,
  module: `block.ts#${exported}`,
  entry: { setup_timeout: '500ms' },
  holds: refused(code),
  layer: 'set-up timeout',
  ...(exported === 'LoopInConstructor' ? {} : { variant: true as const }),
});

const attacks: readonly Attack[] = [
  // Where
  { ...atStart('endless loop at import', ''), module: 'loop-at-import.ts#Attacker' },
  atStart('endless loop in parseConfig', 'LoopInParseConfig'),
  atStart('endless loop in the constructor', 'LoopInConstructor'),
  atStart('endless loop in an awaited set-up', 'LoopInSetup'),
  atStart('a set-up that never settles', 'NeverSetUp'),
  looping('endless loop in a callback', 'LoopInCallback', {
    without: { layers: ['vigil'], shows: all(notEnded, burns), afterMs: 1_500 },
  }),
  looping('endless loop in a web resource', 'LoopInRequest', {
    provoke: whenRequested,
    holds: [status(504), ended(/no sign of life/), restarted],
    without: { layers: ['vigil'], shows: all(notEnded, burns), afterMs: 1_500 },
  }),
  looping('endless loop while a response is sent', 'LoopInBody', {
    variant: true,
    provoke: whenRequested,
    holds: [ended(/blocked/), restarted],
  }),
  looping('endless loop in a timer', 'LoopInTimer', {
    holds: [allowed, ended(/blocked|no sign of life/), restarted],
    without: { layers: ['vigil'], shows: all(notEnded, burns), afterMs: 3_000 },
  }),
  looping('endless loop in an abort listener', 'LoopInAbortListener', { variant: true }),
  looping('endless loop in each life but the first', 'LoopInNextLives', {
    entry: { ...quick, setup_timeout: '600ms', breaker: { failures: 3 } },
    holds: [failed('module_timeout'), logged(/is parked/), inState('parked')],
    layer: 'breaker',
  }),

  // How
  looping('endless chain of promises', 'Microtasks'),
  looping('endless chain of queueMicrotask', 'QueuedMicrotasks', { variant: true }),
  looping('endless async loop', 'AsyncLoop', { variant: true }),
  looping('catastrophic regular expression', 'Regex', { variant: true }),
  looping('huge BigInt power', 'Power', { variant: true }),
  looping('sort with a slow comparison', 'Sort', { variant: true }),
  looping('Atomics.wait', 'Wait', {
    holds: [failed('threw', /undefined/), livesOn],
    layer: 'SES compartment',
    without: { layers: ['ses'], shows: failed('module_timeout') },
  }),
  looping('Atomics.wait in a trusted thread', 'Wait', { entry: { ...quick, isolation: 'thread' } }),
  looping('WebAssembly loop', 'WasmLoop', {
    holds: [failed('threw', /undefined/), livesOn],
    layer: 'SES compartment',
    without: { layers: ['ses'], shows: failed('module_timeout') },
  }),
  looping('WebAssembly loop in a trusted thread', 'WasmLoop', { entry: { ...quick, isolation: 'thread' } }),
  unendable('a search that terminate() cannot end', 'Unendable', {
    without: { layers: ['escalation'], shows: all(noHullEnded, burns), afterMs: 1_500 },
    thread: { lost: 'its thread takes a core until the process ends', shows: burns, afterMs: 1_500 },
  }),
  unendable('a search that cannot be ended, in a web resource', 'UnendableRequest', {
    provoke: whenRequested,
    holds: [status(504), hullEnded({ known: true, cause: /SIGKILL/ }), restarted],
  }),
  unendable('a search that cannot be ended, in a timer', 'UnendableTimer', {
    holds: [allowed, hullEnded({ known: true, cause: /SIGKILL/ }), restarted],
  }),
  {
    ...atStart('a search that cannot be ended, in the constructor', 'UnendableSetup'),
    layer: 'set-up timeout, escalation to the hull',
    endsHull: true,
    thread: { lost: 'its thread takes a core until the process ends' },
  },
  unendable('replaceAll of a large string', 'ReplaceAll', {
    entry: patient,
    // Whether it is done before it is looked for depends on the version.
    holds: either(answered(/did it/), all(either(failed('module_timeout'), failed('crashed')), restarted)),
  }),
  unendable('JSON.parse of 20,000,000 arrays', 'ParseArrays', {
    entry: { ...patient, limits: { memory: '64MiB' } },
    holds: [
      either(failed('module_timeout'), failed('crashed')),
      either(hullEnded(), ended(/memory|sign of life/)),
      restarted,
    ],
  }),

  // Answers
  looping('a promise that never settles', 'Never', {
    holds: [failed('module_timeout'), livesOn],
    layer: 'deadline',
  }),
  looping('a thenable that never calls back', 'SilentThenable', {
    holds: [failed('module_timeout'), livesOn],
    layer: 'deadline',
  }),
  looping('a thenable that loops', 'LoopingThenable', { variant: true }),
  looping('a getter of then that loops', 'ThenGetter', { variant: true }),
  looping('a thenable that resolves to itself', 'ThenableOfItself'),
  looping('an answer whose toJSON loops', 'ToJson'),
  looping('an answer whose getter loops', 'Getter', { variant: true }),
  looping('an answer whose Proxy traps loop', 'Traps', { variant: true }),
  looping('an answer whose ownKeys trap loops', 'OwnKeysTrap', { variant: true }),
  looping('an answer of 100,000 keys', 'ManyKeys', {
    entry: { ...quick, timeout: '5s', limits: { memory: '256MiB' } },
    holds: [failed('too_large'), livesOn],
    layer: 'result limit',
  }),
  looping('an answer whose JSON never ends', 'EndlessJson', {
    variant: true,
    holds: [either(failed('module_timeout'), failed('wrong_type'), failed('threw')), either(restarted, livesOn)],
  }),
  looping('an error whose message loops', 'HostileError'),
  looping('a thrown Proxy whose traps loop', 'ThrownProxy', { variant: true }),
  looping('an error in a timer whose message loops', 'ErrorInTimer', {
    variant: true,
    holds: [allowed, ended(/blocked|no sign of life/), restarted],
  }),
  looping('an unhandled rejection whose name loops', 'HostileRejection', {
    variant: true,
    holds: [allowed, ended(/blocked|no sign of life/), restarted],
  }),
  looping('an API argument whose toJSON loops', 'HostileArgument'),

  // Busy
  looping('work in slices after the deadline, abort or not', 'IgnoresAbort', {
    holds: [failed('module_timeout'), livesOn],
    layer: 'priority of the hull',
  }),
  looping('garbage without end, in slices', 'GarbageInSlices', {
    holds: [allowed, livesOn],
    layer: 'priority of the hull',
  }),
  looping('200 calls, of which every tenth loops', 'LoopOnSome', {
    entry: { ...quick, timeout: '1s', breaker: { failures: 5 } },
    provoke: manyOfWhichSomeLoop,
    holds: [({ answer }) => (answer === 200 ? undefined : `${answer} of 200 calls were settled in time`)],
    layer: 'deadline, vigil and breaker',
  }),
];

/** @returns how many settled soon after their deadline */
async function manyOfWhichSomeLoop(target: Target): Promise<number> {
  const startedAt = performance.now();
  const calls = Array.from({ length: 200 }, (_, n) =>
    target.ask({ n, loops: n % 10 === 0 }).then(() => performance.now() - startedAt),
  );
  // One second of their own, and as much again for a host that is short of time.
  return (await Promise.all(calls)).filter((ms) => ms < 5_000).length;
}

function noHullEnded(seen: Parameters<typeof allowed>[0]): string | undefined {
  return hullEnded()(seen) === undefined ? 'its hull was ended' : undefined;
}

await containmentSuite('block', attacks);
