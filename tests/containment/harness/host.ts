// The victim: a homeserver's process with modules in it, behind a real HTTP server. `host.ts <options as JSON>`.
// A second server, for the suite alone, tells what it looks like from inside, and takes commands.

import { once } from 'node:events';
import { openSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import {
  ConfigurationError,
  createModuleRuntime,
  type EventData,
  type ModuleEvents,
  refusalResponse,
} from '@bulkhead/runtime';
import { createAdaptorServer } from '@hono/node-server';
import type { Layer } from '../../../packages/runtime/src/layers.ts';
import type { CallRequest, HostOptions, LogLine, Marks, Reloaded, Snapshot } from './victim.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as HostOptions;
// The one in the runtime that runs here: a copy of it would take nothing off.
const layersFile = new URL('./layers.js', import.meta.resolve('@bulkhead/runtime')).href;
const { layers } = (await import(layersFile)) as { layers: { takeOff(...taken: readonly Layer[]): void } };
layers.takeOff(...options.layersOff);

// Open, as a database's files would be.
openSync(options.secretFile, 'r+');

/** Floods are told in the log as well: what is older than this many lines is forgotten. */
const MOST_LINES = 5_000;
const configFile = fileURLToPath(new URL('../homeserver.yaml', import.meta.url));
const log: LogLine[] = [];
let logged = 0;
const cells: ModuleEvents['cell'][] = [];
const hulls: ModuleEvents['hull'][] = [];
const line = (level: LogLine['level']) => (fields: object, message: string) => {
  if (process.env.LOG) console.error(level, message, fields);
  log.push({ level, message, module: (fields as { module?: unknown }).module, fields: plain(fields) });
  logged++;
  if (log.length > MOST_LINES) log.shift();
};

const modules = await createModuleRuntime({
  config: { text: options.config, file: configFile },
  homeserver: {
    serverName: 'example.com',
    getProfile: (userId) => ({ display_name: userId, avatar_url: null }),
    getUserByRequest: (request) => {
      const user = /^Bearer token-of-(\w+)$/.exec(request.headers.get('authorization') ?? '')?.[1];
      if (user === undefined) throw Object.assign(new Error('unknown token'), { errcode: 'M_UNKNOWN_TOKEN' });
      return {
        userId: `@${user}:example.com`,
        isGuest: false,
        shadowBanned: false,
        authenticatedEntity: `@${user}:example.com`,
      };
    },
    createAndSendEvent: () => ({ event_id: '$event' }),
  },
  storage: options.storage,
  containment: options.containment,
  logger: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
});
modules.on('cell', (event) => cells.push(event));
modules.on('hull', (event) => hulls.push(event));
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();

const noState = { get: () => undefined, list: () => [], entries: () => [] };

/** What clients see. */
async function answerClient(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === '/alive') return new Response('alive');
  if (pathname === '/redirect') return Response.redirect(`http://127.0.0.1:${control}/secret`, 302);
  if (pathname === '/send') {
    const outcome = await modules.spamChecker.checkEventForSpam((await request.json()) as EventData);
    return outcome.allowed ? Response.json({ event_id: '$event' }) : refusalResponse(outcome);
  }
  return (await modules.fetch(request)) ?? new Response('not found', { status: 404 });
}

/** What the suite asks. */
async function obey(request: Request): Promise<unknown> {
  switch (new URL(request.url).pathname) {
    case '/call': {
      const { callback, args } = (await request.json()) as CallRequest;
      const methods = Object.assign(
        {},
        ...Object.values(modules).filter((value) => typeof value === 'object'),
      ) as Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
      return methods[callback]?.(...args, ...(callback === 'checkEventAllowed' ? [noState] : []));
    }
    case '/reload': {
      const { text } = (await request.json()) as { text: string };
      return reload(text);
    }
    case '/restart':
      return modules.restart(((await request.json()) as { id: string }).id).then(
        () => ({}),
        (error: unknown) => ({ error: String(error) }),
      );
    case '/calm':
      delay.reset();
      return {};
    case '/secret':
      return 'nobody but the suite may see this';
    case '/collect':
      // With all that V8 itself gives back when it has nothing to do; room for young objects among it, up to 48 MiB.
      (globalThis as { gc?: (how: object) => void }).gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
      return heldMiB();
    default: {
      const since = (await request.json()) as Marks;
      const fresh = Math.min(logged - since.logged, log.length);
      const seen: Snapshot = {
        status: modules.status(),
        log: fresh > 0 ? log.slice(-fresh) : [],
        cells: cells.slice(since.cells),
        hulls: hulls.slice(since.hulls),
        marks: { logged, cells: cells.length, hulls: hulls.length },
        delayMs: { max: delay.max / 1e6, p99: delay.percentile(99) / 1e6 },
      };
      return seen;
    }
  }
}

async function reload(text: string): Promise<Reloaded> {
  try {
    await modules.reload({ text, file: configFile });
    return { problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { problems: error.problems.map(({ code, module, message }) => ({ code, module, message })) };
  }
}

function plain(fields: object): unknown {
  try {
    return JSON.parse(JSON.stringify(fields, (_, value) => (value instanceof Error ? String(value) : value)));
  } catch {
    return {};
  }
}

const listen = async (fetch: (request: Request) => Promise<Response>): Promise<number> => {
  const server = createAdaptorServer({ fetch }) as Server;
  // Longer than anybody waits: one that is closed just when it is used again would look like an attack that succeeds.
  server.keepAliveTimeout = 300_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

const port = await listen(answerClient);
const control = await listen(async (request) => Response.json((await obey(request)) ?? null));
console.log(JSON.stringify({ port, control }));

// Whoever started this is gone: nothing of it may stay. With a thread that cannot be ended, an ordinary exit would hang.
process.stdin.resume().on('close', () => process.kill(process.pid, 'SIGKILL'));

/** What V8 and buffers hold. The rest of what is resident is the program's, and what the C library keeps of what was freed. */
function heldMiB(): number {
  const { heapTotal, external } = process.memoryUsage();
  return (heapTotal + external) / 2 ** 20;
}
