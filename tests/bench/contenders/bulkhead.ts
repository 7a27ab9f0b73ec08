// Bulkhead itself, with every guard on, as an embedder starts it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createModuleRuntime, type Homeserver, type Logger, type Modules } from '@bulkhead/runtime';
import type { Contender } from './contender.ts';

export interface ModuleOf {
  /** The file's name in `modules/`. */
  readonly name: string;
  readonly config?: object;
  readonly entry?: object;
}

export interface RuntimeOf {
  readonly containment?: 'process' | 'thread';
  readonly modules: readonly ModuleOf[];
  readonly homeserver?: Partial<Homeserver>;
}

const file = fileURLToPath(new URL('../modules/homeserver.yaml', import.meta.url));
const silent: Logger = { debug() {}, info() {}, warn() {}, error: (fields, message) => console.error(message, fields) };

export interface Running {
  readonly modules: Modules;
  close(): Promise<void>;
}

/** Without spare cells: they would only make the start of what is measured next slower. */
export async function startRuntime({ containment = 'process', modules, homeserver }: RuntimeOf): Promise<Running> {
  const storage = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  const runtime = await createModuleRuntime({
    config: {
      text: JSON.stringify({
        modules: modules.map(({ name, config = {}, entry }, index) => ({
          module: `./${name}.ts`,
          id: `${name}-${index}`,
          config,
          limits: { calls_in_flight: 10_000 },
          ...entry,
        })),
      }),
      file,
    },
    homeserver: { serverName: 'example.com', ...homeserver },
    containment,
    spares: false,
    storage,
    logger: silent,
  });
  return {
    modules: runtime,
    close: async () => {
      await runtime.close();
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

const startWith = (containment: 'process' | 'thread') => async (): Promise<Contender> => {
  const { modules, close } = await startRuntime({ containment, modules: [{ name: 'word-list' }] });
  return {
    async ask(event) {
      const outcome = await modules.spamChecker.checkEventForSpam(event);
      if (!outcome.allowed && outcome.cause === 'failed') throw new Error(JSON.stringify(outcome.failures));
      return !outcome.allowed;
    },
    close,
  };
};

export const startBulkhead = startWith('process');
export const startBulkheadThread = startWith('thread');
