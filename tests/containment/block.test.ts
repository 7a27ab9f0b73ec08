// Modules that keep their thread, or try to keep other people's.

import {
  type Attack,
  burns,
  ended,
  failed,
  hullEnded,
  notEnded,
  refused,
  restarted,
  whenAsked,
} from './harness/attack.ts';
import { containmentSuite } from './harness/suite.ts';

/** No failure of these parks the module before it was seen to be restarted. */
const quick = { timeout: '200ms', setup_timeout: '400ms' };

const attacks: readonly Attack[] = [
  {
    name: 'endless loop in a callback',
    module: 'block.ts#LoopInCallback',
    entry: quick,
    provoke: whenAsked,
    holds: [failed('module_timeout'), ended(/no sign of life/), restarted],
    layer: 'vigil',
    without: { layers: ['vigil'], shows: notEnded, afterMs: 1_500 },
  },
  {
    name: 'endless loop in parseConfig',
    module: 'block.ts#LoopInParseConfig',
    entry: quick,
    holds: refused('SetupTimedOut'),
    layer: 'set-up timeout',
  },
  {
    name: 'a loop that terminate() cannot end',
    module: 'block.ts#Unendable',
    entry: quick,
    provoke: whenAsked,
    holds: [failed('module_timeout'), hullEnded({ known: true, cause: /SIGKILL/ }), restarted],
    layer: 'escalation',
    endsHull: true,
    without: { layers: ['escalation'], shows: (seen) => hullEnded()(seen) && undefined, afterMs: 2_000 },
    thread: { lost: 'its thread takes a core until the process ends', shows: burns, afterMs: 1_000 },
  },
];

await containmentSuite('block', attacks);
