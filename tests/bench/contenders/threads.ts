// Within one process: a plain function, ports, and the libraries that run functions in threads.

import { type Endpoint, releaseProxy, wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Piscina } from 'piscina';
import { Tinypool } from 'tinypool';
import workerpool from 'workerpool';
import { isSpam } from '../workers/word-list.js';
import { type Contender, Pending, startThread, worker } from './contender.ts';

/** A thread, with as many tasks as may be in flight: what a pool does best with. */
const pooled = { filename: worker('task.js').href, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: 256 };

export async function startFunction(): Promise<Contender> {
  return { ask: async (event) => isSpam(event), close: async () => {} };
}

export async function startPostMessage(): Promise<Contender> {
  const thread = startThread('post-message.js');
  const pending = new Pending();
  thread.on('message', ({ id, spam }: { id: number; spam: boolean }) => pending.answer(id, spam));
  return {
    ask: (event) => pending.ask((id) => thread.postMessage({ id, event })),
    close: async () => void (await thread.terminate()),
  };
}

export async function startPortEcho(): Promise<Contender> {
  const thread = startThread('json-echo.js');
  let echoed: () => void = () => {};
  thread.on('message', () => echoed());
  return {
    ask: (event) =>
      new Promise((resolve) => {
        echoed = () => resolve(false);
        thread.postMessage(JSON.stringify(event));
      }),
    close: async () => void (await thread.terminate()),
  };
}

export async function startPiscina(): Promise<Contender> {
  const pool = new Piscina({ ...pooled, recordTiming: false });
  return { ask: (event) => pool.run(event), close: () => pool.destroy() };
}

export async function startTinypool(): Promise<Contender> {
  const pool = new Tinypool(pooled);
  return { ask: (event) => pool.run(event), close: () => pool.destroy() };
}

export async function startWorkerpool(): Promise<Contender> {
  const pool = workerpool.pool(new URL(worker('workerpool.js')).pathname, {
    minWorkers: 1,
    maxWorkers: 1,
    workerType: 'thread',
  });
  return {
    ask: async (event) => (await pool.exec('isSpam', [event])) as boolean,
    close: async () => void (await pool.terminate(true)),
  };
}

interface Exposed {
  isSpam(event: unknown): boolean;
  value(key: string): unknown;
}

export async function startComlink(): Promise<Contender & { value(key: string): Promise<unknown> }> {
  const thread = startThread('comlink.js');
  const remote = wrap<Exposed>(nodeEndpoint(thread as never) as Endpoint);
  return {
    ask: async (event) => await remote.isSpam(event),
    value: async (key) => await remote.value(key),
    close: async () => {
      remote[releaseProxy]();
      await thread.terminate();
    },
  };
}
