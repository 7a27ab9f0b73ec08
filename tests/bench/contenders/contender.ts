// What all contenders have in common: they are asked whether an event is spam.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EventData } from '@bulkhead/sdk/contract';

export interface Contender {
  ask(event: EventData): Promise<boolean>;
  close(): Promise<void>;
}

export interface Entry {
  readonly name: string;
  /** It answers one after another alone: what only echoes has no ids. */
  readonly lone?: boolean;
  /** @throws when this Node does not have what it needs */
  readonly start: () => Promise<Contender>;
}

/** Questions by id, for those whose transport has none of its own. */
export class Pending {
  readonly #waiting = new Map<number, (spam: boolean) => void>();
  #lastId = 0;

  ask(send: (id: number) => void): Promise<boolean> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      send(id);
    });
  }

  answer(id: number, spam: boolean): void {
    this.#waiting.get(id)?.(spam);
    this.#waiting.delete(id);
  }
}

export const worker = (name: string): URL => new URL(`../workers/${name}`, import.meta.url);

/** Without the flags of this process, which would make its start slower. */
export const startThread = (name: string): Worker => new Worker(worker(name), { execArgv: [] });

export async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}
