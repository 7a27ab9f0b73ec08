// Twelve modules under steady traffic, while some of them crash, hang, flood, are restarted and reloaded at random. Every call
// has to be answered once, in time, by the module that it was for; nothing may grow.
//
//   npm run soak -- --minutes 10 [--grace 100] [--json] [--seed 7]

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createModuleRuntime, type Logger, type Modules } from '@bulkhead/runtime';
import type { EventData } from '@bulkhead/sdk/contract';
import { deedNames } from './fixtures/soaked.ts';

const MODULES = 12;
const TIMEOUT_MS = 1_000;
const CALLS_ABREAST = 16;
const REQUESTS_ABREAST = 4;
const MEBIBYTE = 1 << 20;
const GROWTH_BYTES = 64 * MEBIBYTE;

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    grace: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    help: { type: 'boolean', default: false },
  },
});
/** A call settles so many milliseconds after its deadline at the latest, besides the lag of this process. */
const graceMs = Number(options.grace);
const ids = Array.from({ length: MODULES }, (_, index) => `m${index}`);

interface Tally {
  calls: number;
  answered: number;
  failed: number;
  requests: number;
  unavailable: number;
  deeds: number;
  restarts: number;
  reloads: number;
  readonly latencies: number[];
  /** What must not happen, with the first example of each. */
  readonly wrong: Map<string, { count: number; readonly example: string }>;
}

async function soak(ms: number): Promise<boolean> {
  const storage = mkdtempSync(join(tmpdir(), 'bulkhead-soak-'));
  const random = generator(Number(options.seed));
  const tally: Tally = {
    calls: 0,
    answered: 0,
    failed: 0,
    requests: 0,
    unavailable: 0,
    deeds: 0,
    restarts: 0,
    reloads: 0,
    latencies: [],
    wrong: new Map(),
  };
  const modules = await createModuleRuntime({
    config: configOf(0),
    homeserver: { serverName: 'example.com' },
    logger: silent,
    storage,
  });
  let hulls = 0;
  modules.on('hull', () => hulls++);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  await rest(2_000);
  const before = footprint();
  const until = performance.now() + ms;
  const goesOn = (): boolean => performance.now() < until;
  const lines = setInterval(() => progress(tally, until, hulls), 5_000);
  await Promise.all([
    ...Array.from({ length: CALLS_ABREAST }, () => callers(modules, random, tally, goesOn)),
    ...Array.from({ length: REQUESTS_ABREAST }, () => clients(modules, random, tally, goesOn)),
    mischief(modules, random, tally, goesOn),
  ]);
  clearInterval(lines);
  delay.disable();
  // Everybody comes to rest, and to a cell of his own again.
  for (const id of ids) await modules.restart(id);
  await rest(5_000);
  const after = footprint();
  const states = modules.status().map(({ state }) => state);
  await modules.close();
  rmSync(storage, { recursive: true, force: true });

  if (after.memory - before.memory > GROWTH_BYTES) {
    note(tally, 'the memory has grown', `${inMebibytes(before.memory)} to ${inMebibytes(after.memory)}`);
  }
  if (after.descriptors - before.descriptors > before.descriptors / 10) {
    note(tally, 'there are more descriptors', `${before.descriptors} to ${after.descriptors}`);
  }
  if (states.some((state) => state !== 'running')) note(tally, 'a module does not run', states.join(' '));
  report(tally, { ms, hulls, before, after, delay: { max: delay.max / 1e6, p99: delay.percentile(99) / 1e6 } });
  return tally.wrong.size === 0;
}

/** One call after another, each for one module. */
async function callers(modules: Modules, random: Random, tally: Tally, goesOn: () => boolean): Promise<void> {
  while (goesOn()) await call(modules, pick(ids, random), random, tally);
}

async function call(modules: Modules, to: string, random: Random, tally: Tally, deed?: string): Promise<void> {
  const nonce = Math.floor(random() * 1e9);
  const startedAt = performance.now();
  const lagBefore = lag;
  tally.calls++;
  const outcome = await modules.spamChecker.checkEventForSpam(eventOf({ to, nonce, deed }));
  const ms = performance.now() - startedAt;
  tally.latencies.push(ms);
  if (ms > TIMEOUT_MS + graceMs + (lag - lagBefore))
    note(tally, 'a call settled late', `${to} after ${Math.round(ms)} ms`);
  const isDown = outcome.failures.some(({ module }) => module === to);
  if (!outcome.allowed && outcome.module === to && outcome.error === `${to} ${nonce}`) tally.answered++;
  else if (outcome.allowed && isDown) tally.failed++;
  else note(tally, 'a wrong verdict', `${to} ${nonce}: ${JSON.stringify(outcome)}`);
}

async function clients(modules: Modules, random: Random, tally: Tally, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const id = pick(ids, random);
    const nonce = Math.floor(random() * 1e9);
    tally.requests++;
    const response = await modules.fetch(new Request(`http://localhost/_synapse/client/${id}?nonce=${nonce}`));
    const body = await response?.text().catch(() => undefined);
    if (response?.status === 503 || response?.status === 504 || response?.status === 502) tally.unavailable++;
    else if (response?.status === 200 && body === undefined) tally.unavailable++;
    else if (response?.status !== 200 || body !== `${id} ${nonce}`) {
      note(tally, 'a wrong answer', `${id} ${nonce}: ${response?.status} ${body}`);
    }
    await rest(5);
  }
}

/** The first third of the modules is never told to do anything: what becomes of it is the others' doing. */
async function mischief(modules: Modules, random: Random, tally: Tally, goesOn: () => boolean): Promise<void> {
  const rogues = ids.slice(MODULES / 3);
  for (let round = 1; goesOn(); round++) {
    await rest(100 + random() * 900);
    const chance = random();
    if (chance < 0.1) {
      tally.restarts++;
      await modules.restart(pick(ids, random));
    } else if (chance < 0.2) {
      tally.reloads++;
      await modules.reload(configOf(round));
    } else {
      tally.deeds++;
      void call(modules, pick(rogues, random), random, tally, pick(deedNames, random));
    }
  }
}

/** With another round, another three modules are another configuration, and get another cell. */
const configOf = (round: number) => ({
  text: JSON.stringify({
    module_defaults: {
      timeout: `${TIMEOUT_MS}ms`,
      on_failure: 'allow',
      breaker: { failures: 20, window: '10s' },
    },
    modules: ids.map((id, index) => ({
      module: './soaked.ts#Soaked',
      id,
      config: index % 4 === round % 4 ? { round } : {},
    })),
  }),
  file: fileURLToPath(new URL('./fixtures/homeserver.yaml', import.meta.url)),
});

const eventOf = (content: EventData['content']): EventData => ({
  type: 'm.room.message',
  room_id: '!room:example.com',
  sender: '@alice:example.com',
  origin_server_ts: Date.now(),
  content,
});

// The lag of this very process is added to deadlines; it is measured here independently.
let lag = 0;
let ticked = performance.now();
setInterval(() => {
  const now = performance.now();
  lag += Math.max(0, now - ticked - 20);
  ticked = now;
}, 10).unref();

type Random = () => number;

/** mulberry32: the same seed makes the same choices. */
function generator(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T;

const rest = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

interface Footprint {
  readonly memory: number;
  readonly descriptors: number;
}

function footprint(): Footprint {
  (globalThis as { gc?: () => void }).gc?.();
  return { memory: process.memoryUsage.rss(), descriptors: readdirSync('/proc/self/fd').length };
}

function note(tally: Tally, what: string, example: string): void {
  const known = tally.wrong.get(what);
  if (known === undefined) tally.wrong.set(what, { count: 1, example });
  else known.count++;
}

function progress(tally: Tally, until: number, hulls: number): void {
  if (options.json) return;
  const left = Math.max(0, Math.round((until - performance.now()) / 1000));
  process.stderr.write(
    `${left} s left: ${tally.calls} calls, ${tally.requests} requests, ${tally.deeds} deeds, ${hulls} hulls ended, ${[...tally.wrong.keys()].join('; ') || 'nothing wrong'}\n`,
  );
}

interface Figures {
  readonly ms: number;
  readonly hulls: number;
  readonly before: Footprint;
  readonly after: Footprint;
  readonly delay: { readonly max: number; readonly p99: number };
}

function report(tally: Tally, { ms, hulls, before, after, delay }: Figures): void {
  const sorted = tally.latencies.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  const { latencies: _, wrong, ...counts } = tally;
  const figures = {
    seed: Number(options.seed),
    minutes: ms / 60_000,
    ...counts,
    hulls,
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
    eventLoopDelay: { p99: Math.round(delay.p99), max: Math.round(delay.max) },
    memory: { before: inMebibytes(before.memory), after: inMebibytes(after.memory) },
    descriptors: { before: before.descriptors, after: after.descriptors },
    wrong: Object.fromEntries(wrong),
  };
  process.stdout.write(`${JSON.stringify(figures, null, options.json ? undefined : 2)}\n`);
}

function inMebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`;
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

if (options.help) {
  process.stdout.write('npm run soak -- [--minutes 10] [--grace MILLISECONDS] [--seed N] [--json]\n');
} else {
  process.exitCode = (await soak(Number(options.minutes) * 60_000)) ? 0 : 1;
}
