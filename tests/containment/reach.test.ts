// Modules that look for what is not theirs: the host's keys, environment and network, Node's own objects, other modules' things.

import {
  type Attack,
  all,
  answered,
  type Expectation,
  either,
  failed,
  livesOn,
  type Target,
} from './harness/attack.ts';
import { message } from './harness/probes.ts';
import { containmentSuite } from './harness/suite.ts';
import type { SeenOutcome } from './harness/victim.ts';

const nothing = answered(/^nothing/);
const found = (what: RegExp): Expectation => all(answered(/^(?!nothing)/), answered(what));
const SECRET = /ed25519 key-of-the-host/;

/** Told where things are, so that it need not guess. */
const whenTold = (target: Target): Promise<SeenOutcome> => target.ask(target.whereabouts);

const reach = (name: string, exported: string, shows?: Expectation, more: Partial<Attack> = {}): Attack => ({
  name,
  module: `reach.ts#${exported}`,
  entry: { timeout: '5s' },
  provoke: whenTold,
  holds: [either(nothing, failed('threw')), livesOn],
  layer: 'SES compartment',
  ...(shows === undefined ? {} : { without: { layers: ['ses'], shows } }),
  ...more,
});

/** In a thread with Node, which is what a module has that got out of its compartment. */
const trusted = (
  name: string,
  exported: string,
  shows: Expectation | undefined,
  more: Partial<Attack> = {},
): Attack => ({
  ...reach(`${name}, from a thread with Node`, exported),
  entry: { timeout: '5s', isolation: 'thread' },
  layer: 'permission flags',
  ...(shows === undefined ? {} : { without: { layers: ['cell_flags', 'hull_flags'], shows } }),
  ...more,
});
const lost = 'a trusted thread is in the homeserver’s process';

const attacks: readonly Attack[] = [
  // Node's
  reach('names that only Node has', 'Names', found(/process require/)),
  reach('constructors of functions, and of everything that there is', 'Constructors', found(/process/), {
    variant: true,
  }),
  reach('call sites and stacks', 'CallSites', found(/\//), { variant: true }),
  reach('the lists that timers are in', 'TimerLists', found(/_idlePrev/), { variant: true }),
  reach('the insides of web classes', 'Insides', found(/Symbol/), { variant: true }),
  reach('async-local stores', 'Stores', found(/async_hooks/), { variant: true }),
  reach('import() at run time', 'ImportAtRunTime', found(/fs/)),
  reach('a worker without flags', 'NestedWorker', undefined),
  trusted('a worker without flags', 'NestedWorker', found(/a worker/)),

  // The host's
  reach('the host’s environment', 'Environment', undefined, {
    without: { layers: ['ses', 'cell_flags', 'hull_flags', 'sandbox'], shows: found(SECRET) },
  }),
  trusted('the host’s environment', 'Environment', undefined, {
    layer: 'permission flags, sandbox',
    without: { layers: ['cell_flags', 'hull_flags', 'sandbox'], shows: found(SECRET) },
  }),
  reach('the host’s signing key', 'SigningKey', undefined, {
    without: { layers: ['ses', 'cell_flags', 'hull_flags'], shows: found(SECRET) },
  }),
  trusted('the host’s signing key', 'SigningKey', found(SECRET)),
  reach('the host’s descriptors', 'Descriptors', undefined),
  trusted('the host’s descriptors', 'Descriptors', undefined, {
    layer: 'hull',
    thread: { lost, shows: found(SECRET) },
  }),
  trusted('writing to files', 'Writes', found(/written/)),
  reach('signals to the host', 'Signals', undefined, {
    without: { layers: ['ses', 'signals'], shows: found(/signalled/) },
  }),
  trusted('signals to the host', 'Signals', found(/signalled/), {
    layer: 'removal of signals',
    without: { layers: ['signals'], shows: found(/signalled/) },
  }),
  trusted('an inspector in the host', 'HostInspector', undefined, { layer: 'Node: no thread has it', variant: true }),
  trusted('a lower priority for the host', 'HostPriority', undefined, {
    layer: 'removal of signals, sandbox',
    without: { layers: ['sandbox', 'signals'], shows: found(/slowed/) },
    alone: true,
  }),

  // Other modules'
  reach('globals that another module left', 'Globals', undefined, { provoke: afterAnother, layer: 'thread' }),
  reach('another module’s storage', 'OtherStorage', undefined, { layer: 'storage by module' }),

  // The network
  reach('hosts that were not granted', 'Network', undefined, { layer: 'granted hosts' }),
  reach('private addresses, where every public host was granted', 'Network', undefined, {
    entry: { timeout: '5s', permissions: { network: ['*'] } },
    layer: 'granted hosts',
  }),
  reach('files and data by fetch', 'Schemes', undefined, {
    entry: { timeout: '5s', permissions: { network: ['*'] } },
    layer: 'granted hosts',
  }),
  reach('a redirect to a host that was not granted', 'Redirect', undefined, {
    entry: { timeout: '5s', permissions: { network: ['localhost:*'] } },
    layer: 'granted hosts',
  }),
  reach('a host that was granted', 'Granted', undefined, {
    entry: { timeout: '5s', permissions: { network: ['localhost:*'] } },
    holds: [answered(/200 alive/), livesOn],
    layer: 'none: it may',
    variant: true,
  }),
  reach('sockets of Node’s own', 'Sockets', undefined),
];

/** A module that leaves something behind goes first, in the same configuration and from the same file. */
async function afterAnother(target: Target): Promise<SeenOutcome> {
  const { problems } = await target.reload(
    { module: './modules/reach.ts#Leave', id: 'leave' },
    { module: './modules/reach.ts#Globals', id: target.id, timeout: '5s' },
  );
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  await target.call('checkEventForSpam', message('hello', { attack: 'leave' }));
  return whenTold(target);
}

await containmentSuite('reach', attacks);
