/**
 * The test kit of module authors: a module in a real cell with its real limits, behind a homeserver of your making.
 * It runs `@bulkhead/runtime`, which has to be installed beside it; nothing else in this package needs that.
 *
 * @example
 * ```ts
 * import { event, testModule } from '@bulkhead/sdk/testing';
 *
 * const tested = await testModule(new URL('./no-links.ts', import.meta.url), { config: { words: ['casino'] } });
 * const outcome = await tested.spamChecker.checkEventForSpam(event({ content: { body: 'casino' } }));
 * assert(!outcome.allowed);
 * await tested.close();
 * ```
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createModuleRuntime, type Logger, type Modules, type RuntimeOptions } from '@bulkhead/runtime';
import type { EventData, Homeserver, LogLevel } from '../contract/index.js';

export interface TestModuleOptions {
  /** The entry's `config`. */
  readonly config?: unknown;
  /** Further keys of the entry as in YAML: `{ timeout: '250ms', permissions: { users: ['read'] } }`. */
  readonly entry?: Readonly<Record<string, unknown>>;
  /** What the ModuleApi reaches; what is left out is not supported. Its server is `example.org` unless it says otherwise. */
  readonly homeserver?: Partial<Homeserver>;
  readonly containment?: RuntimeOptions['containment'];
}

/** A line that the module, or the runtime because of it, wrote. */
export interface LoggedLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The module as a homeserver has it, and what was logged. */
export interface TestedModule extends Modules {
  readonly logged: readonly LoggedLine[];
}

/**
 * Starts one module.
 * @param module its file, with the export after `#` unless it is the default one
 * @throws ConfigurationError as a homeserver's start would
 */
export async function testModule(module: URL | string, options: TestModuleOptions = {}): Promise<TestedModule> {
  const { config = {}, entry = {}, homeserver = {}, containment } = options;
  const storage = await mkdtemp(join(tmpdir(), 'bulkhead-test-'));
  const logged: LoggedLine[] = [];
  try {
    const modules = await createModuleRuntime({
      spares: false,
      config: { modules: [{ module: specifierOf(module), config, ...entry }] },
      homeserver: { serverName: 'example.org', ...homeserver },
      logger: recorder(logged),
      storage,
      ...(containment === undefined ? {} : { containment }),
    });
    return Object.freeze({
      ...modules,
      logged,
      async close(how?: Parameters<Modules['close']>[0]) {
        await modules.close(how);
        await rm(storage, { recursive: true, force: true });
      },
    });
  } catch (error) {
    await rm(storage, { recursive: true, force: true });
    throw error;
  }
}

/** A message event, with whatever you change of it. */
export function event(changes: Partial<EventData> = {}): EventData {
  return {
    type: 'm.room.message',
    room_id: '!room:example.org',
    sender: '@alice:example.org',
    event_id: '$event',
    origin_server_ts: Date.now(),
    ...changes,
    content: { msgtype: 'm.text', body: 'hello', ...changes.content },
  };
}

function specifierOf(module: URL | string): string {
  if (typeof module === 'string') return module;
  const { hash } = module;
  const file = new URL(module);
  file.hash = '';
  return fileURLToPath(file) + hash;
}

function recorder(lines: LoggedLine[]): Logger {
  const at = (level: LogLevel) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
