// Modules that end: themselves, their thread, or the process around it. The host does not, the others go on, and whoever did it is
// known.

import {
  type Attack,
  all,
  allowed,
  answered,
  askedTimes,
  askedUntil,
  type Expectation,
  either,
  ended,
  failed,
  hostDies,
  hullEnded,
  inState,
  livesOn,
  logged,
  neighboursSuffer,
  notEnded,
  refused,
  restarted,
  type Seen,
  status,
  whenAsked,
  whenRequested,
} from './harness/attack.ts';
import { containmentSuite } from './harness/suite.ts';
import type { SeenOutcome } from './harness/victim.ts';

/** The smaller the limit, the sooner V8 gives up. */
const small = { timeout: '30s', limits: { memory: '16MiB' } };
const LOST = { lost: 'V8 aborts the homeserver' };
/** Whether V8 ends the thread or the process is up to its version. */
const gone = either(hullEnded({ cause: /SIG(ABRT|TRAP)/ }), ended(/memory/));

/** The heap limit ends the thread, and nothing else. */
const heap = (name: string, exported: string, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `crash.ts#${exported}`,
  entry: small,
  provoke: whenAsked,
  holds: [failed('crashed', /memory/), ended(/memory/), restarted],
  layer: 'heap limit of the thread',
  ...more,
});

/** V8 ends the whole process. */
const abort = (name: string, exported: string, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `crash.ts#${exported}`,
  entry: small,
  provoke: whenAsked,
  holds: [failed('crashed'), gone, restarted],
  layer: 'hull',
  endsHull: true,
  thread: LOST,
  ...more,
});

/** What V8's limits do not count. */
const outside = (name: string, exported: string, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `crash.ts#${exported}`,
  entry: { timeout: '30s' },
  provoke: whenAsked,
  holds: [failed('crashed', /memory/), ended(/memory/), restarted],
  layer: 'memory watch',
  ...more,
});

/** V8 does not count it at all: it is the hull that grows, and nobody else lives there. */
const byItself: Partial<Attack> = {
  entry: { timeout: '30s', isolation: 'thread' },
  holds: [failed('crashed'), either(ended(/memory/), hullEnded({ known: true, cause: /memory/ })), restarted],
  endsHull: true,
  variant: true,
  thread: { lost: 'what V8 does not count, the homeserver’s process grows by' },
};

/** It got what it wanted, and keeps it. */
function hullsHold(mebibytes: number): Expectation {
  return (seen) => {
    const held = seen.hullsMiB;
    return held > mebibytes ? notEnded(seen) : `the hulls hold ${Math.round(held)} MiB`;
  };
}

/** What goes wrong stays with the call, or does not even fail it. */
const harmless = (name: string, exported: string, holds: Attack['holds'], more: Partial<Attack> = {}): Attack => ({
  name,
  module: `crash.ts#${exported}`,
  provoke: whenAsked,
  holds,
  layer: 'bootstrap',
  ...more,
});

/** It is not there in a compartment. Without SES it is, and costs the hull or the thread. */
const byNode = (
  name: string,
  exported: string,
  shows: Attack['holds'],
  more: Partial<Attack> = {},
): readonly Attack[] => [
  {
    name,
    module: `crash.ts#${exported}`,
    entry: { timeout: '500ms' },
    provoke: whenAsked,
    holds: [failed('threw', /undefined|not a function/), livesOn],
    layer: 'SES compartment',
    variant: true,
    ...(typeof shows === 'function' ? { without: { layers: ['ses'], shows } } : {}),
    ...more,
  },
];

/** With `isolation: thread` a module is trusted with Node; a hull of its own is what it can end. */
const trusted = (name: string, exported: string, holds: Attack['holds'], more: Partial<Attack> = {}): Attack => ({
  name: `${name} in a trusted thread`,
  module: `crash.ts#${exported}`,
  entry: { timeout: '500ms', isolation: 'thread' },
  provoke: whenAsked,
  holds,
  layer: 'hull of its own',
  endsHull: true,
  thread: { lost: 'a trusted thread can end the homeserver' },
  ...more,
});

const denied = failed(
  'threw',
  /permission|denied|disabled|not allowed|ERR_|restricted|process\.binding|not supported|unavailable|not a function/i,
);
const lostAlone = either(
  hullEnded({ known: true }),
  all(ended(/(?:)/), ({ hulls }) => (hulls.length === 0 ? undefined : 'more')),
);

const attacks: readonly Attack[] = [
  // The heap, by small objects
  heap('many small objects', 'Heap'),
  heap('many small objects in parseConfig', 'HeapInParseConfig', {
    provoke: undefined,
    holds: refused('SetupFailed', /memory/),
    variant: true,
  }),
  heap('many small objects in a web resource', 'HeapInRequest', {
    provoke: whenRequested,
    holds: [status(503), ended(/memory/), restarted],
    variant: true,
  }),
  heap('many small objects in a timer', 'HeapInTimer', { holds: [allowed, ended(/memory/), restarted], variant: true }),
  heap('many small objects in promises', 'HeapInPromises', {
    holds: [failed('crashed'), gone, restarted],
    endsHull: true,
    thread: LOST,
  }),
  heap('many small objects in each life but the first', 'HeapInNextLives', {
    entry: { ...small, breaker: { failures: 3 } },
    holds: [failed('crashed'), logged(/is parked/), inState('parked')],
    layer: 'heap limit of the thread, breaker',
  }),

  // The heap, by large things
  abort('new Array(1e8).fill(0)', 'Fill', { thread: { ...LOST, shows: hostDies } }),
  {
    ...abort('new Array(1e8).fill(0) at import', '', { provoke: undefined, holds: refused('SetupFailed') }),
    module: 'crash-at-import.ts#Attacker',
  },
  abort('new Array(1e8).fill(0) in the constructor', 'FillInConstructor', {
    provoke: undefined,
    holds: refused('SetupFailed'),
  }),
  abort('new Array(1e8).fill(0) in a web resource', 'FillInRequest', {
    provoke: whenRequested,
    holds: [status(503), gone, restarted],
  }),
  abort('new Array(1e8).fill(0) in a timer', 'FillInTimer', { holds: [allowed, gone, restarted] }),
  abort('new Array(1e8).fill(0) in each life but the first', 'FillInNextLives', {
    entry: { ...small, breaker: { failures: 3 } },
    holds: [failed('crashed'), logged(/is parked/), inState('parked')],
    layer: 'hull, blame and breaker',
  }),
  abort('one growing Map', 'GrowingMap'),
  abort('one growing array', 'GrowingArray'),
  abort('an array that doubles', 'Concat'),
  abort('a string split into 2^28 parts', 'Split', { thread: { ...LOST, shows: hostDies } }),
  abort('Array.from with 2^28 elements', 'ArrayFrom'),
  abort('2^28 matches', 'Match'),
  abort('sorting 2^28 elements that are not there', 'Snap', { thread: { ...LOST, shows: hostDies } }),
  abort('JSON.parse of 30,000,000 arrays', 'ParseArrays'),

  // Outside of the heap
  outside('buffers in a loop', 'Buffers'),
  outside('buffers with pauses in between', 'BuffersInSlices', {
    without: { layers: ['memory'], shows: hullsHold(500) },
  }),
  outside('blobs', 'Blobs', { variant: true }),
  outside('bodies of responses', 'Streams', { variant: true }),
  outside('shared buffers in a trusted thread', 'SharedBuffers', byItself),
  outside('memory of WebAssembly in a trusted thread', 'WasmMemory', byItself),

  // The stack
  harmless('endless recursion', 'Recursion', [failed('threw'), livesOn], { layer: 'stack limit' }),
  harmless('200,000 nested Proxies', 'DeepProxies', either(failed('threw'), answered(/did it/)), {
    variant: true,
    layer: 'stack limit',
  }),
  harmless('200,000 nested bound functions', 'DeepBinds', either(failed('threw'), answered(/did it/)), {
    variant: true,
    layer: 'stack limit',
  }),
  // Since Node 26, it can.
  harmless('JSON.stringify 500,000 levels deep', 'DeepJson', [either(failed('threw'), answered(/did it/)), livesOn], {
    variant: true,
    layer: 'stack limit',
  }),
  harmless('structuredClone 500,000 levels deep', 'DeepClone', [failed('threw'), livesOn], {
    variant: true,
    layer: 'stack limit',
  }),
  harmless('a regular expression 200,000 levels deep', 'DeepRegex', [failed('threw'), livesOn], {
    variant: true,
    layer: 'stack limit',
  }),
  harmless('API calls at the end of the stack', 'ApiAtTheEnd', [answered(/counts/), livesOn], { layer: 'stack limit' }),

  // Errors that nobody catches
  harmless('a throw in a timer', 'ThrowInTimer', [allowed, logged(/uncaught Error: thrown in a timer/), livesOn]),
  harmless(
    'a throw in a microtask',
    'ThrowInMicrotask',
    [allowed, logged(/uncaught Error: thrown in a microtask/), livesOn],
    { variant: true },
  ),
  harmless('a throw in an event listener', 'ThrowInListener', [allowed, livesOn], { variant: true }),
  harmless('a throw in a stream', 'ThrowInStream', [allowed, livesOn], { variant: true }),
  harmless('an unhandled rejection', 'Rejection', [allowed, logged(/uncaught Error: nobody listens/), livesOn]),
  harmless(
    '10,000 unhandled rejections',
    'ManyRejections',
    // What is dropped is waste, and where it takes a host too long, a flood.
    [allowed, logged(/uncaught Error: nobody listens/), either(livesOn, ended(/floods/))],
    { variant: true },
  ),

  // Errors that hurt
  harmless(
    'errors that throw when they are looked at',
    'HostileErrors',
    [answered(/threw all/), everyFailureThrew, livesOn],
    {
      entry: { timeout: '10s', limits: { memory: '256MiB' }, breaker: { failures: 1_000 } },
      provoke: askedUntil('threw all'),
    },
  ),
  harmless(
    'rejections that throw when they are looked at',
    'HostileRejections',
    [answered(/threw all/), everyFailureThrew, livesOn],
    {
      entry: { timeout: '10s', limits: { memory: '256MiB' }, breaker: { failures: 1_000 } },
      provoke: askedUntil('threw all'),
      variant: true,
    },
  ),
  harmless('the same, uncaught', 'HostileUncaught', [answered(/threw all/), livesOn], {
    entry: { timeout: '20s', limits: { memory: '512MiB' } },
  }),
  harmless('a hostile error in parseConfig', 'HostileInParseConfig', refused('ConfigRejected'), {
    provoke: undefined,
    entry: { limits: { memory: '256MiB' } },
  }),
  harmless('a hostile error in the constructor', 'HostileInConstructor', refused('SetupFailed'), {
    provoke: undefined,
    entry: { limits: { memory: '256MiB' } },
  }),

  // Again and again
  harmless('a throw in each of ten calls', 'Throws', [failed('parked'), logged(/is parked/), inState('parked')], {
    provoke: askedTimes(10),
    layer: 'breaker',
    without: { layers: ['breaker'], shows: failed('threw') },
  }),
  harmless(
    'a set-up that throws in each life but the first',
    'CrashLoop',
    [failed('crashed'), logged(/is parked/), inState('parked')],
    {
      entry: { ...small, breaker: { failures: 3 } },
      layer: 'breaker',
    },
  ),
  harmless('another life that registers nothing', 'ForgetsItself', [failed('crashed'), restarted], {
    entry: small,
    layer: 'supervision',
  }),

  // Node's own ways to end
  ...byNode('process.exit', 'ProcessExit', failed('crashed')),
  ...byNode('process.reallyExit', 'ReallyExit', either(failed('crashed'), hullEnded())),
  ...byNode('process.abort', 'ProcessAbort', []),
  ...byNode('a signal to its own process', 'KillItself', [], {
    without: { layers: ['ses', 'signals'], shows: hullEnded() },
    endsHull: true,
  }),
  ...byNode('process.binding', 'Binding', []),
  ...byNode('process.dlopen', 'Dlopen', []),
  ...byNode('v8.setFlagsFromString', 'Flags', []),
  ...byNode('an inspector', 'Inspector', []),
  ...byNode('closing descriptors 0 to 200', 'CloseDescriptors', either(neighboursSuffer, hullEnded()), {
    endsHull: true,
  }),
  ...byNode('writing to descriptors 0 to 200', 'WriteDescriptors', either(neighboursSuffer, hullEnded()), {
    endsHull: true,
  }),
  trusted('process.exit', 'ProcessExit', [failed('crashed'), lostAlone]),
  trusted('process.reallyExit', 'ReallyExit', [failed('crashed'), lostAlone]),
  trusted('process.abort', 'ProcessAbort', either(denied, hullEnded({ known: true }))),
  trusted('SIGKILL to its own process', 'KillItself', [denied, livesOn], {
    layer: 'removal of signals',
    without: { layers: ['signals'], shows: hullEnded({ known: true }) },
  }),
  trusted('SIGSTOP to its own process', 'Stop', [denied, livesOn], {
    layer: 'removal of signals',
    without: { layers: ['signals'], shows: either(failed('module_timeout'), failed('queue_timeout')) },
    variant: true,
  }),
  trusted('process.binding', 'Binding', either(denied, answered(/did it/))),
  trusted('process.dlopen', 'Dlopen', denied),
  trusted('v8.setFlagsFromString', 'Flags', either(failed('crashed'), failed('threw'))),
  trusted('an inspector', 'Inspector', either(denied, failed('module_timeout'))),
  trusted(
    'closing descriptors 0 to 200',
    'CloseDescriptors',
    either(failed('crashed'), failed('module_timeout'), failed('parked')),
  ),
  trusted('writing to descriptors 0 to 200', 'WriteDescriptors', [
    either(failed('crashed'), failed('module_timeout'), failed('parked')),
    either(hullEnded({ known: true }), ended(/(?:)/)),
  ]),
];

function everyFailureThrew({ answer }: Seen): string | undefined {
  if (!Array.isArray(answer)) return 'it is still being asked';
  const kinds = (answer as readonly SeenOutcome[]).slice(0, -1).map(({ failures }) => failures[0]?.kind);
  const others = kinds.filter((kind) => kind !== 'threw');
  return others.length === 0 ? undefined : `it did not always fail with "threw": ${kinds.join(' ')}`;
}

await containmentSuite('crash', attacks);
