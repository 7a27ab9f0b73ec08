// Runs example modules in the real runtime. Configurations are written as in the modules' READMEs, relative to packages/examples.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigurationError, createModuleRuntime, type Modules, type Problem } from '@bulkhead/runtime';
import type { EventData, Homeserver, StateLookup } from '@bulkhead/sdk/contract';
import type { Test } from 'tap';

export const examples = fileURLToPath(new URL('../../packages/examples/', import.meta.url));

/** Starts the modules of a configuration; the end of the test closes them. */
export async function startModules(t: Test, yaml: string, homeserver: Partial<Homeserver> = {}): Promise<Modules> {
  const storage = await mkdtemp(join(tmpdir(), 'bulkhead-modules-'));
  let modules: Modules | undefined;
  t.teardown(async () => {
    await modules?.close({ drainMs: 0 });
    await rm(storage, { recursive: true });
  });
  modules = await createModuleRuntime({
    spares: false,
    config: { text: yaml, file: `${examples}test.yaml` },
    homeserver: { serverName: 'example.com', ...homeserver },
    storage,
    logger: silent,
  });
  return modules;
}

/** What an admin is told about a configuration with which nothing starts. */
export async function problemsOf(t: Test, yaml: string): Promise<readonly Problem[]> {
  try {
    await startModules(t, yaml);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

/** The answer of a module's web resource. */
export async function ask(modules: Modules, request: Request): Promise<Response> {
  const response = await modules.fetch(request);
  if (!response) throw new Error(`${request.url} is nobody's`);
  return response;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export function message(content: EventData['content'], more: Partial<EventData> = {}): EventData {
  return {
    type: 'm.room.message',
    room_id: '!room:example.com',
    sender: '@alice:example.com',
    origin_server_ts: 1_700_000_000_000,
    content,
    ...more,
  };
}

export function stateEvent(type: string, content: EventData['content'], more: Partial<EventData> = {}): EventData {
  return message(content, { type, state_key: '', ...more });
}

export function stateOf(...events: readonly EventData[]): StateLookup {
  return {
    get: (type, stateKey) => events.find((event) => event.type === type && event.state_key === stateKey),
    list: (type) => events.filter((event) => event.type === type),
    entries: () => events,
  };
}
