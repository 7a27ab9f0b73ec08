// A process for one contender, in which it is the homeserver's. It starts it, and measures it whenever it is told to.

import { fork } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createEvent, type Size } from '../events.ts';
import { load, percentile, rest } from '../measure.ts';
import type { Contender, Entry } from './contender.ts';
import { contenders } from './index.ts';

/** What is compiled late is not compiled while it is measured. */
const WARM_UP_MS = 1_000;
const ABREAST = 64;
const LOOK_MS = 1;
/** As a server that is busy is started: with 1 MiB, as Node begins, half of what waits for an answer is taken for old. */
const ROOM_FOR_YOUNG = '--min-semi-space-size=16';

export interface Turn {
  readonly size: Size;
  readonly abreast: number;
  readonly ms: number;
}

/** Latencies, `hostCpu` and `loopDelay`, how late the event loop was at worst in 99 % of its turns, in microseconds. */
export interface Figures {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly perSecond: number;
  readonly hostCpu: number;
  readonly loopDelay: number;
}

export interface Seat {
  measure(turn: Turn): Promise<Figures>;
  leave(): void;
}

type Said = { readonly ready: true } | { readonly failed: string } | { readonly figures: Figures };

/** @throws when the contender cannot be started on this version of Node */
export async function takeSeat(name: string): Promise<Seat> {
  const child = fork(fileURLToPath(import.meta.url), [name], {
    execArgv: ['--import=tsx', '--expose-gc', '--no-warnings', ROOM_FOR_YOUNG],
  });
  const said = (): Promise<Said> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void => reject(new Error(`the process of ${name} ended with ${code}`));
      child.once('exit', ended);
      child.once('message', (message: Said) => {
        child.off('exit', ended);
        resolve(message);
      });
    });
  const first = await said();
  if ('failed' in first) throw new Error(first.failed);
  return {
    async measure(turn) {
      child.send(turn);
      return ((await said()) as { readonly figures: Figures }).figures;
    },
    leave: () => child.disconnect(),
  };
}

async function measure(contender: Contender, { size, abreast, ms }: Turn): Promise<Figures> {
  const ask = (): Promise<boolean> => contender.ask(createEvent(size));
  await load(ask, { abreast, ms: ms / 3 });
  await rest();
  const loop = monitorEventLoopDelay({ resolution: LOOK_MS });
  loop.enable();
  const { latencies, perSecond, hostCpu } = await load(ask, { abreast, ms });
  loop.disable();
  const at = (share: number): number => percentile(latencies, share);
  // What it tells is the time between two looks; there are none while promises alone keep the thread busy.
  const loopDelay = loop.count === 0 ? ms * 1000 : Math.max(0, loop.percentile(99) / 1000 - LOOK_MS * 1000);
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), perSecond, hostCpu, loopDelay };
}

async function sit(name: string): Promise<void> {
  const tell = (said: Said): void => void process.send?.(said);
  const entry = (contenders as readonly Entry[]).find((each) => each.name === name) as Entry;
  let contender: Contender;
  try {
    contender = await entry.start();
  } catch (error) {
    tell({ failed: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) });
    process.disconnect();
    return;
  }
  await load(() => contender.ask(createEvent('0.3 KB')), { abreast: entry.lone ? 1 : ABREAST, ms: WARM_UP_MS });
  process.on('message', async (turn: Turn) => tell({ figures: await measure(contender, turn) }));
  process.on('disconnect', async () => {
    await contender.close();
    process.exit();
  });
  tell({ ready: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await sit(process.argv[2] ?? '');
