#!/usr/bin/env node
// `npm start`: the homeserver with its modules, a guided tour of what they do, and then the server to play with.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ConfigurationError, createModuleRuntime, formatProblems } from '@bulkhead/runtime';
import picocolors from 'picocolors';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { InvalidConfig } from './config.js';
import { createHomeserver, DatabaseError, type Homeserver, reservedPaths } from './index.js';
import { runTour } from './tour/tour.js';

const USAGE = `A Matrix homeserver whose modules run in Bulkhead, with a guided tour.

  npm start -- [options]

  --once            end after the tour; exit code 0 if every step came out as it should
  --no-tour         only the server
  --config FILE     homeserver.yaml (default: the example's own)
  --port N          instead of the configured port; 0 takes any that is free
  --data FOLDER     keep rooms, users and modules' data there (default: nothing is kept)
  --verbose         all of the log, not warnings and errors alone
  --help            this text

  DATABASE_URL in the environment: keep rooms and users in that PostgreSQL database, and the rest in --data
`;

const exampleConfig = fileURLToPath(new URL('../../homeserver.yaml', import.meta.url));

async function main(): Promise<number> {
  const options = readArguments();
  if (typeof options === 'number') return options;
  const logger = pino(
    { level: options.verbose ? 'debug' : 'warn', base: null },
    pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY, ignore: 'pid,hostname,err.stack' }),
  );

  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

  const scratch = options.data === undefined ? await mkdtemp(join(tmpdir(), 'bulkhead-')) : undefined;
  let homeserver: Homeserver | undefined;
  try {
    homeserver = await createHomeserver({
      configFile: options.config,
      logger,
      ...(options.data === undefined ? { memory: true } : { dataDir: options.data }),
      modules: (host) =>
        createModuleRuntime({
          configFile: options.config,
          homeserver: host,
          logger,
          reservedPaths,
          storage: join(options.data ?? (scratch as string), 'modules'),
        }),
    });
    const { url } = await homeserver.listen(options.port);
    let passed = true;
    if (options.tour) passed = await runTour(homeserver, stop.signal);
    if (!options.once && !stop.signal.aborted) {
      say(`\nThe homeserver stays up at ${picocolors.bold(url)}`);
      say('Open it in two browser windows, and talk while modules crash. Or, without a browser:\n');
      say(`  curl '${url}/_synapse/client/demo/hello?name=you'`);
      say(`  curl ${url}/_matrix/client/versions\n`);
      say('Ctrl-C stops it.');
      await aborted(stop.signal);
    }
    return passed ? 0 : 1;
  } catch (error) {
    if (error instanceof ConfigurationError) {
      complain(formatProblems(error.problems, { color: process.stderr.isTTY }));
      return 2;
    }
    if (error instanceof InvalidConfig) {
      complain(error.message);
      return 2;
    }
    if (error instanceof DatabaseError) {
      complain(error.message);
      return 1;
    }
    // The system's own words, such as a port that is taken: there is nothing to look up in this program.
    if (isSystemError(error)) {
      complain(error.code === 'EADDRINUSE' ? portTaken(error) : error.message);
      return 1;
    }
    throw error;
  } finally {
    await homeserver?.close();
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  }
}

interface Options {
  readonly once: boolean;
  readonly tour: boolean;
  readonly config: string;
  readonly port: number | undefined;
  readonly data: string | undefined;
  readonly verbose: boolean;
}

/** @returns an exit code where there is nothing else to do */
function readArguments(): Options | number {
  try {
    const { values } = parseArgs({
      allowNegative: true,
      options: {
        once: { type: 'boolean', default: false },
        tour: { type: 'boolean', default: true },
        config: { type: 'string', default: exampleConfig },
        port: { type: 'string' },
        data: { type: 'string' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      say(USAGE);
      return 0;
    }
    const port = values.port === undefined ? undefined : Number(values.port);
    if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port < 65_536)) {
      throw new Error(`--port: expected a port number, got "${values.port}"`);
    }
    if (process.env.DATABASE_URL && values.data === undefined) {
      throw new Error('DATABASE_URL: with a database that is kept, --data has to name a folder for files');
    }
    return { ...values, port, data: values.data };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return 2;
  }
}

interface SystemError extends Error {
  readonly code: string;
  readonly syscall: string;
  readonly address?: string;
  readonly port?: number;
}

const isSystemError = (error: unknown): error is SystemError => error instanceof Error && 'syscall' in error;

const portTaken = ({ address, port }: SystemError): string =>
  `Port ${port} of ${address} is taken: is another server running? --port takes another, and --port 0 any that is free.`;

const complain = (text: string): void => void process.stderr.write(`${text}\n`);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    // A waiting server has its socket to live for; the listener alone would not keep it.
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

// Last, when everything that it uses is there.
process.exitCode = await main();
