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
  { name: 'Bulkhead', what: 'process, SES, all guards', start: bulkhead('startBulkhead') },
  { name: 'Bulkhead, threads', what: '`containment: thread`, SES, all guards', start: bulkhead('startBulkheadThread') },
  { name: 'function', what: 'a plain async function in the same thread', start: threads('startFunction') },
  { name: 'socket echo', what: 'the same bytes there and back', lone: true, start: frames('startSocketEcho') },
  { name: 'frames, socket', what: 'length, id, JSON; nothing checked', start: frames('startSocketFrames') },
  { name: 'port echo', what: 'JSON text there and back', lone: true, start: threads('startPortEcho') },
  { name: 'postMessage', what: 'an object each way to a thread', start: threads('startPostMessage') },
  { name: 'frames, port', what: 'the frames over a message port', start: frames('startPortFrames') },
  { name: 'Piscina', what: 'a thread, 256 tasks at once', start: threads('startPiscina') },
  { name: 'tinypool', what: 'a thread, 256 tasks at once', start: threads('startTinypool') },
  { name: 'workerpool', what: 'a thread', start: threads('startWorkerpool') },
  { name: 'Comlink', what: 'a thread', start: threads('startComlink') },
  { name: 'child_process', what: 'IPC with JSON', start: processes('startIpc') },
  { name: 'HTTP', what: 'a policy server on loopback, 16 connections kept alive', start: processes('startHttp') },
  { name: 'gRPC', what: 'a Unix socket', start: processes('startGrpc') },
  { name: 'Extism', what: 'WebAssembly (AssemblyScript) in the same thread', start: sandboxes('startExtism') },
  { name: 'QuickJS', what: 'WebAssembly in the same thread', start: sandboxes('startQuickjs') },
  { name: 'isolated-vm', what: 'an isolate in a thread of its own', start: sandboxes('startIsolatedVm') },
] as const satisfies readonly Entry[];

export type Name = (typeof contenders)[number]['name'];
