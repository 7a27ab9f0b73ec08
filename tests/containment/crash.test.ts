// Modules that end: themselves, their thread, or the process around it.

import { type Attack, ended, failed, hostDies, hullEnded, restarted, whenAsked } from './harness/attack.ts';
import { containmentSuite } from './harness/suite.ts';

const small = { timeout: '10s', limits: { memory: '16MiB' } };

const attacks: readonly Attack[] = [
  {
    name: 'many small objects',
    module: 'crash.ts#Heap',
    entry: small,
    provoke: whenAsked,
    holds: [failed('crashed', /memory/), ended(/memory/), restarted],
    layer: 'heap limit',
  },
  {
    name: 'a string split into 2^28 parts',
    module: 'crash.ts#Split',
    entry: small,
    provoke: whenAsked,
    holds: [failed('crashed'), hullEnded({ cause: /SIG(ABRT|TRAP)/ }), restarted],
    layer: 'hull',
    endsHull: true,
    thread: { lost: 'V8 aborts the homeserver', shows: hostDies },
  },
];

await containmentSuite('crash', attacks);
