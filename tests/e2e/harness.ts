// The example homeserver as it is: its file, the module runtime, hulls and cells, HTTP on a port of its own.

import { fileURLToPath } from 'node:url';
import { createHomeserver, type Homeserver } from '@bulkhead/examples/homeserver';
import { createModuleRuntime, type Logger, type Modules, type RuntimeOptions } from '@bulkhead/runtime';
import type { LogLevel } from '@bulkhead/sdk/contract';
import type { Test } from 'tap';
import { Client } from '../homeserver/client.ts';
import { storageFor } from '../homeserver/harness.ts';

export const examples = fileURLToPath(new URL('../../packages/examples/', import.meta.url));
export const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));

export interface Logged {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RunningServer extends Homeserver {
  readonly url: string;
  readonly logged: readonly Logged[];
  register(username: string): Promise<Client>;
}

interface Options {
  /** The modules' part of the configuration, where it is not that of the file. */
  readonly config?: RuntimeOptions['config'];
  readonly accessTokenLifetimeMs?: number;
  /** Looks on: the runtime's modules in, the same with something around them out. */
  readonly around?: (modules: Modules) => Modules;
}

/** Starts the homeserver with the modules of a file; the end of the test closes it. */
export async function startHomeserver(t: Test, configFile: string, options: Options = {}): Promise<RunningServer> {
  const { config, accessTokenLifetimeMs, around = (modules) => modules } = options;
  const logged: Logged[] = [];
  const logger = recordingLogger(logged);
  const storage = t.testdir();
  const homeserver = await createHomeserver({
    configFile,
    ...(await storageFor(t)),
    accessTokenLifetimeMs,
    logger,
    modules: async (host) => {
      const from = config === undefined ? { configFile } : { config };
      return around(await createModuleRuntime({ ...from, spares: false, homeserver: host, logger, storage }));
    },
  });
  t.teardown(() => homeserver.close());
  const { url } = await homeserver.listen(0, '127.0.0.1');
  return Object.assign(homeserver as RunningServer, {
    logged,
    register: (username: string) => Client.register(url, username),
  });
}

function recordingLogger(logged: Logged[]): Logger {
  const at = (level: LogLevel) => (fields: object, message: string) => {
    logged.push({ level, message, fields: { ...fields } });
    if (process.env.LOG) console.error(level, message, fields);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
