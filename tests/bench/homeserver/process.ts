// The homeserver as a process of its own, with its data in a folder that goes with it, or in a new database of the server
// that DATABASE_URL leads to.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { DatabasePlace } from '../../../packages/examples/homeserver/db/database.ts';
import { ask } from '../../homeserver/postgres.ts';
import { main } from '../../homeserver/program.ts';
import { threadCpuUs } from '../measure.ts';

export const SERVER_NAME = 'example.com';

/** A message takes as long as it takes: nothing is held back. */
const UNLIMITED = { per_second: 1_000_000, burst_count: 1_000_000 };

export class HomeserverProcess {
  readonly folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  readonly #databaseUrl: string | undefined;
  readonly #nodeArgs: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(modules: readonly object[], databaseUrl: string | undefined, nodeArgs: readonly string[]) {
    this.#databaseUrl = databaseUrl;
    this.#nodeArgs = nodeArgs;
    const config = { server_name: SERVER_NAME, rc_message: UNLIMITED, rc_registration: UNLIMITED, modules };
    writeFileSync(join(this.folder, 'homeserver.yaml'), JSON.stringify(config));
  }

  /** @param nodeArgs for Node itself, such as `--cpu-prof` */
  static async make(modules: readonly object[], nodeArgs: readonly string[] = []): Promise<HomeserverProcess> {
    const { DATABASE_URL: server } = process.env;
    if (!server) return new HomeserverProcess(modules, undefined, nodeArgs);
    const url = new URL(server);
    const name = `bulkhead_bench_${randomBytes(6).toString('hex')}`;
    await ask(server, `create database ${name}`);
    url.pathname = `/${name}`;
    return new HomeserverProcess(modules, url.href, nodeArgs);
  }

  /** What its thread has had of the processor, in microseconds. */
  get cpuUs(): number {
    return threadCpuUs(this.#child?.pid);
  }

  get place(): DatabasePlace {
    return this.#databaseUrl ? { url: this.#databaseUrl } : { folder: join(this.folder, 'data', 'db') };
  }

  /** @returns where it listens */
  async start(): Promise<string> {
    const { DATABASE_URL: _, ...env } = process.env;
    const child = spawn(
      process.execPath,
      [
        ...this.#nodeArgs,
        main,
        '--no-tour',
        ...['--config', join(this.folder, 'homeserver.yaml'), '--data', join(this.folder, 'data'), '--port', '0'],
      ],
      {
        env: { ...env, NO_COLOR: '1', ...(this.#databaseUrl ? { DATABASE_URL: this.#databaseUrl } : {}) },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    this.#child = child;
    process.once('exit', () => child.kill('SIGKILL'));
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const url = /stays up at (\S+)$/.exec(line)?.[1];
      if (url !== undefined) return url;
    }
    throw new Error('The homeserver did not start');
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  }

  /** Nothing is left of it. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
    const { DATABASE_URL: server } = process.env;
    if (server && this.#databaseUrl) await ask(server, `drop database ${new URL(this.#databaseUrl).pathname.slice(1)}`);
  }
}
