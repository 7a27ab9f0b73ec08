/**
 * A Matrix homeserver in an evening's reading, and the reference for embedding modules: where each callback is called,
 * what is done with its outcome, and how a server is put together around `createModuleRuntime`.
 *
 * @example
 * ```ts
 * const homeserver = await createHomeserver({ configFile: './homeserver.yaml' });
 * const { url } = await homeserver.listen();
 * ```
 */

import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createModuleRuntime, type Logger, type Modules } from '@bulkhead/runtime';
import type { Homeserver as ModuleHost } from '@bulkhead/sdk/contract';
import { createAdaptorServer } from '@hono/node-server';
import type { Hono } from 'hono';
import { pino } from 'pino';
import { createApp } from './app.js';
import { type ConfigOverrides, type HomeserverConfig, loadConfig } from './config.js';
import { openSigningKey } from './crypto/key-file.js';
import { openDatabase } from './db/database.js';
import type { Env } from './http/context.js';
import { openMediaFolder } from './media/media.js';
import { HomeserverAdapter } from './module-api.js';
import { PAGE_PATH } from './page/routes.js';
import { buildServer, layFoundation } from './server.js';

export type { HomeserverConfig } from './config.js';
export { DatabaseError } from './db/error.js';

export interface HomeserverOptions extends ConfigOverrides {
  /** homeserver.yaml: the homeserver's keys, and the modules. */
  readonly configFile?: string;
  readonly logger?: Logger;
  /** Starts the modules. Default: the module runtime, with the modules of `configFile`. */
  readonly modules?: (homeserver: ModuleHost) => Promise<Modules>;
}

export interface Homeserver {
  readonly config: HomeserverConfig;
  readonly app: Hono<Env>;
  readonly modules: Modules;
  /** Where it listens; `undefined` before it does. */
  readonly url: string | undefined;
  /** @param port instead of the configured one; 0 takes any that is free */
  listen(port?: number, host?: string): Promise<{ readonly url: string; readonly port: number }>;
  /** Answers what waits, ends the modules, closes the database. */
  close(): Promise<void>;
}

export async function createHomeserver(options: HomeserverOptions = {}): Promise<Homeserver> {
  const { configFile, logger = pino({ name: 'homeserver' }), ...overrides } = options;
  const config = await loadConfig(configFile, overrides);
  // What is open is closed again in the opposite order, at the end or when something after it fails.
  const opened: (() => Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) await close();
  };

  try {
    const { dataDir, databaseUrl } = config;
    const place = databaseUrl === undefined ? { folder: dataDir && join(dataDir, 'db') } : { url: databaseUrl };
    const database = await openDatabase(place, logger);
    opened.push(() => database.close());
    const mediaFolder = await openMediaFolder(dataDir && join(dataDir, 'media'));
    opened.push(() => mediaFolder.close());
    const { serverName } = config;
    const signer = { serverName, key: await openSigningKey(dataDir && join(dataDir, 'signing.key')) };
    const foundation = await layFoundation({ config, logger, db: database.db, mediaFolder, signer });

    // The modules are given the homeserver, the homeserver is given the modules.
    const adapter = new HomeserverAdapter(serverName, foundation.accounts, foundation.events);
    const start = options.modules ?? ((homeserver) => startModules(homeserver, configFile, logger));
    const modules = await start(adapter);
    opened.push(() => modules.close());
    const server = buildServer(foundation, modules);
    adapter.connect(server);
    opened.push(async () => server.presence.close());
    await server.federation?.start();
    opened.push(async () => server.federation?.close());
    opened.push(async () => server.typing.close());

    const app = createApp(server);
    let listening: Listening | undefined;
    return {
      config,
      app,
      modules,
      get url() {
        return listening?.url;
      },
      async listen(port = config.listen.port, host = config.listen.host) {
        if (listening) throw new Error(`Already listening on ${listening.url}`);
        listening = await listen(app, port, host);
        const { http } = listening;
        opened.push(() => stop(http));
        opened.push(async () => server.notifier.close());
        opened.push(async () => server.feed.close());
        return { url: listening.url, port: listening.port };
      },
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** The homeserver's own, besides those of the specification: for the runtime's option of that name. */
export const reservedPaths = [PAGE_PATH];

function startModules(homeserver: ModuleHost, configFile: string | undefined, logger: Logger): Promise<Modules> {
  return createModuleRuntime({
    homeserver,
    logger,
    reservedPaths,
    ...(configFile === undefined ? { config: {} } : { configFile }),
  });
}

interface Listening {
  readonly http: HttpServer;
  readonly port: number;
  readonly url: string;
}

const KEEP_ALIVE_MS = 75_000;

function listen(app: Hono<Env>, port: number, host: string): Promise<Listening> {
  const http = createAdaptorServer({ fetch: app.fetch }) as HttpServer;
  // Longer than clients and proxies keep a connection: who closes first shall be the one that would use it again.
  http.keepAliveTimeout = KEEP_ALIVE_MS;
  return new Promise((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, host, () => {
      http.off('error', reject);
      const { port: actual } = http.address() as AddressInfo;
      const name = host.includes(':') ? `[${host}]` : host;
      resolve({ http, port: actual, url: `http://${name}:${actual}` });
    });
  });
}

/** Requests under way are answered; connections that clients keep open are not waited for. */
function stop(http: HttpServer): Promise<void> {
  return new Promise((resolve) => {
    // A connection becomes idle only when its last answer is out.
    const idle = setInterval(() => http.closeIdleConnections(), IDLE_CHECK_MS);
    const force = setTimeout(() => http.closeAllConnections(), STOP_MS);
    http.close(() => {
      clearInterval(idle);
      clearTimeout(force);
      resolve();
    });
  });
}

const IDLE_CHECK_MS = 10;
const STOP_MS = 2_000;
