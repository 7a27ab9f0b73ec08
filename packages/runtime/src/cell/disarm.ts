// What a thread could do to other processes, of which the homeserver is one, and no flag of Node's forbids: signals (of which one
// has a process listen for a debugger) and priorities. Whoever has Node's built-ins finds them without these.

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

/** Called once per thread, before any module's code. The rest of the process goes without a scratch. */
export function disarm(): void {
  for (const name of ['kill', '_kill']) Reflect.deleteProperty(process, name);
  Reflect.deleteProperty(os, 'setPriority');
  syncBuiltinESMExports();
}
