// Modules in real cells, for tests of what they may say.

import { createModuleRuntime, type Modules } from '@bulkhead/runtime';
import type { Homeserver } from '@bulkhead/sdk/contract';
import type { Test } from 'tap';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export const containments = ['process', 'thread'] as const;

interface CellOptions {
  readonly containment?: (typeof containments)[number];
  readonly homeserver?: Partial<Homeserver>;
}

/** Starts the modules of a configuration that names files of `fixtures`; the end of the test closes them. */
export async function startCells(t: Test, yaml: string, options: CellOptions = {}): Promise<Modules> {
  const { containment = 'thread', homeserver } = options;
  const modules = await createModuleRuntime({
    config: { text: yaml, file: `${import.meta.dirname}/fixtures/homeserver.yaml` },
    homeserver: { serverName: 'example.com', ...homeserver },
    storage: t.testdir(),
    logger: silent,
    containment,
    spares: false,
  });
  t.teardown(() => modules.close({ drainMs: 0 }));
  return modules;
}
