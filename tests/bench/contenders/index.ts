// Who is compared. The name is what tables call it. Each is loaded where it is started alone: what others need would only make
// its heap larger.

import type { Contender, Entry } from './contender.ts';

type Starts<File> = { readonly [K in keyof File]: File[K] extends () => Promise<Contender> ? K : never }[keyof File];

const from =
  <File>(load: () => Promise<File>) =>
  (name: Starts<File>) =>
  async (): Promise<Contender> =>
    ((await load())[name] as () => Promise<Contender>)();

const bulkhead = from(() => import('./bulkhead.ts'));
const frames = from(() => import('./frames.ts'));
const threads = from(() => import('./threads.ts'));
const processes = from(() => import('./processes.ts'));
const sandboxes = from(() => import('./sandboxes.ts'));

export const contenders = [
  { name: 'Bulkhead', start: bulkhead('startBulkhead') },
  { name: 'Bulkhead, threads', start: bulkhead('startBulkheadThread') },
  { name: 'function', start: threads('startFunction') },
  { name: 'socket echo', lone: true, start: frames('startSocketEcho') },
  { name: 'frames, socket', start: frames('startSocketFrames') },
  { name: 'port echo', lone: true, start: threads('startPortEcho') },
  { name: 'postMessage', start: threads('startPostMessage') },
  { name: 'frames, port', start: frames('startPortFrames') },
  { name: 'Piscina', start: threads('startPiscina') },
  { name: 'tinypool', start: threads('startTinypool') },
  { name: 'workerpool', start: threads('startWorkerpool') },
  { name: 'Comlink', start: threads('startComlink') },
  { name: 'child_process', start: processes('startIpc') },
  { name: 'HTTP', start: processes('startHttp') },
  { name: 'gRPC', start: processes('startGrpc') },
  { name: 'Extism', start: sandboxes('startExtism') },
  { name: 'QuickJS', start: sandboxes('startQuickjs') },
  { name: 'isolated-vm', start: sandboxes('startIsolatedVm') },
] as const satisfies readonly Entry[];

export type Name = (typeof contenders)[number]['name'];
