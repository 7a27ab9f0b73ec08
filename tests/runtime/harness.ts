// Runs fixture modules in real cells, and looks at what becomes of them and of the processes that hold them.

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  ConfigurationError,
  createModuleRuntime,
  type Logger,
  type ModuleEvents,
  type Modules,
  type Problem,
  type RuntimeOptions,
} from '@bulkhead/runtime';
import type { EventData, FailureKind, Homeserver } from '@bulkhead/sdk/contract';
import type { Test } from 'tap';

export type Containment = 'process' | 'thread';
export const containments: readonly Containment[] = ['process', 'thread'];
export const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));

export interface Entry {
  readonly module: string;
  readonly id?: string;
  readonly [key: string]: unknown;
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Running extends Modules {
  readonly log: readonly LogLine[];
  readonly cells: readonly ModuleEvents['cell'][];
  readonly hulls: readonly ModuleEvents['hull'][];
}

export interface StartOptions extends Partial<Omit<RuntimeOptions, 'homeserver' | 'config'>> {
  readonly homeserver?: Partial<Homeserver>;
  /** Keys of the file besides `modules`. */
  readonly file?: object;
}

/** The configuration file that says so, beside the fixtures. JSON is YAML. */
export const configOf = (modules: readonly Entry[], file: object = {}) => ({
  text: JSON.stringify({ ...file, modules }, null, 2),
  file: `${fixtures}homeserver.yaml`,
});

export async function start(t: Test, modules: readonly Entry[], options: StartOptions = {}): Promise<Running> {
  const log: LogLine[] = [];
  const { homeserver, file, ...others } = options;
  const runtime = await createModuleRuntime({
    config: configOf(modules, file),
    homeserver: { serverName: 'example.com', ...homeserver },
    logger: recorder(log),
    ...others,
    storage: others.storage ?? t.testdir(),
  });
  t.teardown(() => runtime.close({ drainMs: 0 }));
  const cells: ModuleEvents['cell'][] = [];
  const hulls: ModuleEvents['hull'][] = [];
  runtime.on('cell', (event) => cells.push(event));
  runtime.on('hull', (event) => hulls.push(event));
  return { ...runtime, log, cells, hulls };
}

/** What is wrong with a configuration. */
export async function problemsOf(starting: Promise<unknown>): Promise<readonly Problem[]> {
  try {
    await starting;
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  throw new Error('nothing was wrong');
}

export function recorder(log: LogLine[]): Logger {
  const at = (level: keyof Logger) => (fields: object, message: string) => {
    if (process.env.LOG) console.error(level, message, fields);
    log.push({ level, message, fields: fields as LogLine['fields'] });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** An entry for fixtures/puppet.ts that is not parked for what it is told to do. */
export const puppet = (id: string, more: object = {}): Entry => ({
  module: './puppet.ts#Puppet',
  id,
  breaker: { failures: 100 },
  ...more,
});

/** How often the supervision has ended the cell of `bad`. */
export const kills = (modules: Running): number =>
  modules.log.filter(({ message }) => message.startsWith('the cell of bad is ended: ')).length;

/** What fixtures/puppet.ts is to do when it is asked about the event. */
export function event(what: string, content: Readonly<Record<string, unknown>> = {}): EventData {
  return {
    type: 'm.room.message',
    room_id: '!room:example.com',
    sender: '@alice:example.com',
    origin_server_ts: 1_700_000_000_000,
    content: { do: what, ...content },
  };
}

/** Tells one puppet what to do, the others to allow. @returns what became of it */
export async function tell(modules: Modules, id: string, what: string, more: object = {}): Promise<Told> {
  const startedAt = performance.now();
  const outcome = await modules.spamChecker.checkEventForSpam(event(what, { to: id, ...more }));
  const ms = performance.now() - startedAt;
  const [failure] = outcome.failures;
  return {
    ms,
    allowed: outcome.allowed,
    said: outcome.allowed ? '' : outcome.error,
    kind: failure?.kind,
    module: failure?.module,
    message: failure?.message ?? '',
  };
}

export interface Told {
  readonly ms: number;
  readonly allowed: boolean;
  /** The reason with which it refused. */
  readonly said: string;
  readonly kind: FailureKind | undefined;
  readonly module: string | undefined;
  readonly message: string;
}

/** The answer of a web resource. */
export async function get(modules: Modules, path: string, init?: RequestInit): Promise<Response> {
  const response = await modules.fetch(new Request(`http://localhost${path}`, init));
  if (response === undefined) throw new Error(`${path} is nobody's`);
  return response;
}

/** A random id that a puppet has made up in its present life. */
export async function lifeOf(modules: Modules, id: string): Promise<string> {
  const response = await get(modules, `/_synapse/client/${id}/life`);
  if (response.status !== 200) throw new Error(`${id}: ${response.status}`);
  return response.text();
}

/** Waits until the module answers in another life than that one. @returns how long that took */
export const reborn = (modules: Modules, id: string, life: string): Promise<number> =>
  // While it goes down there are errors, and bodies that break off.
  eventually(() =>
    lifeOf(modules, id).then(
      (now) => now !== life,
      () => false,
    ),
  );

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until it holds. @returns how long that took */
export async function eventually(holds: () => Promise<boolean> | boolean, ms = 10_000): Promise<number> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > ms) throw new Error(`it did not come true within ${ms} ms: ${holds}`);
    await sleep(5);
  }
  return performance.now() - startedAt;
}

/** Whether a puppet answers as if nothing had happened. */
export const serves = async (modules: Modules, id: string): Promise<boolean> =>
  (await tell(modules, id, 'refuse')).said === 'as told';

/** The hulls of a process, by what the kernel says of its children. */
export function hullsOf(parent = process.pid): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && isHullOf(pid, parent));
}

function isHullOf(pid: number, parent: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ppid] = status.slice(status.lastIndexOf(')') + 2).split(' ');
    return (
      state !== 'Z' && Number(ppid) === parent && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('hull.cjs')
    );
  } catch {
    return false;
  }
}

export function isAlive(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return status.charAt(status.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return false;
  }
}

/**
 * Measures until a measurement is within the goal, or within what the goal comes to on a machine as busy as this one is now,
 * and tells what was seen. Only what is far from it fails, each time: a mechanism that is missing is late by more, and what
 * machine this is must not decide.
 */
export async function within(t: Test, goalMs: number, what: string, measure: () => Promise<number>): Promise<void> {
  const seen: string[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 4; attempt++) {
    const ms = await measure();
    seen.push(`${ms.toFixed(0)} ms`);
    let scale = 1;
    if (ms > goalMs) {
      scale = await contention();
      seen.push(`(on a machine ${scale.toFixed(1)} times slower)`);
    }
    least = Math.min(least, ms / scale);
    if (least <= goalMs) break;
  }
  t.ok(least <= FAR * goalMs, `${what}: ${seen.join(' ')}, the goal is ${goalMs} ms`);
}

const FAR = 5;

const BURN = `
os.setPriority(5);
const wall = performance.now();
const cpu = process.cpuUsage();
const used = () => { const { user, system } = process.cpuUsage(cpu); return (user + system) / 1000; };
while (used() < 150);
console.log((performance.now() - wall) / used());
`;

/** By how much two processes of a hull's priority are slowed down by what else runs here; 1 on an idle machine. */
async function contention(): Promise<number> {
  const burn = promisify(execFile);
  const runs = await Promise.all([1, 2].map(() => burn(process.execPath, ['-e', BURN])));
  return Math.max(1, ...runs.map(({ stdout }) => Number(stdout)));
}

let ahead = 0;
const clock = performance.now.bind(performance);

/** Lets the clock that timeouts, pauses and quarantines go by jump ahead. Only while nothing is under way. */
export function jumpAhead(t: Test, ms: number): void {
  ahead += ms;
  performance.now = () => clock() + ahead;
  t.teardown(() => {
    ahead = 0;
    performance.now = clock;
  });
}
