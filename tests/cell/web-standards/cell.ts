// One file for a process with a worker in it, as a hull has: the worker locks itself down, makes a compartment and runs
// the script in it that the main thread was started with. Prints what came of it as JSON.

import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createEndowments } from '../../../packages/runtime/src/cell/endowments.js';
import { getStackString, lockdownCell } from '../../../packages/runtime/src/cell/lockdown.js';
import { judge, reach } from './walk.js';

interface Compartment {
  readonly globalThis: Record<string, unknown>;
  evaluate(source: string): unknown;
}

const realm = globalThis as unknown as Record<string, unknown>;
const makeCompartment = (globals: Record<string, unknown>): Compartment => {
  const Compartment = realm.Compartment as new (options: object) => Compartment;
  return new Compartment({ globals, __options__: true });
};

interface Inside {
  runChecks(): Promise<unknown>;
  runAttacks(): Promise<unknown>;
  instances(): object[];
  laterInstances(): Promise<object[]>;
}

if (isMainThread) {
  const [mode, script = ''] = process.argv.slice(2);
  const flag = process.version.startsWith('v20.') ? '--experimental-permission' : '--permission';
  const worker = new Worker(new URL(import.meta.url), {
    env: {},
    execArgv: [flag, `--allow-fs-read=${new URL('.', import.meta.url).pathname}*`],
    workerData: { mode, script: readFileSync(script, 'utf8') },
  });
  worker.on('message', (message) => process.stdout.write(JSON.stringify(message)));
  worker.on('error', (error) => {
    process.stderr.write(`${error}\n`);
    process.exitCode = 1;
  });
} else {
  await run(workerData);
}

async function run({ mode, script }: { mode: string; script: string }): Promise<void> {
  const begin = performance.now();
  const intrinsics = mode === 'walk' ? forbiddenObjects() : new Map();
  lockdownCell();
  const lockdownMs = performance.now() - begin;
  const uncaught: string[] = [];
  let timerRuns = 0;
  const { endowments, dispose } = createEndowments({
    maxTimers: 100,
    afterTimer() {
      timerRuns += 1;
    },
    onUncaught: (error) =>
      void uncaught.push(`${error} ${getStackString(error as Error) === '' ? 'no stack' : 'stack'}`),
  });
  const compartment = makeCompartment(endowments);
  const inside = compartment.evaluate(`${script}\n;inside`) as Inside;
  const result = await {
    checks: () => inside.runChecks(),
    attacks: () => inside.runAttacks(),
    walk: async () => {
      const bare = makeCompartment({});
      const functions = bare.evaluate('[async () => {}, function* () {}, async function* () {}]');
      const own = compartment.globalThis;
      const perCompartment = [own.Compartment, own.Function, own.eval];
      const segments = new Intl.Segmenter().segment('a');
      const fromRealm = { Intl, segments, Date, Math, Float32Array, Float64Array, WeakRef, perCompartment };
      const language = { ...globalsOf(bare), functions, ...fromRealm, Float16Array: realm.Float16Array };
      const sample = async () =>
        reach({ ...globalsOf(compartment, own), instances: inside.instances(), later: await inside.laterInstances() });
      return judge(reach(language), await sample(), await sample(), intrinsics);
    },
  }[mode as 'checks']();
  dispose();
  parentPort?.postMessage({ result, uncaught, timerRuns, lockdownMs });
}

function globalsOf(compartment: Compartment, ...except: unknown[]): Record<string, unknown> {
  const it = compartment.globalThis;
  const names = Object.getOwnPropertyNames(it).filter((name) => !except.includes(it[name]) && name !== 'inside');
  return Object.fromEntries(names.map((name) => [name, it[name]]));
}

/** The realm's own, which no compartment may lead to; `Error` is the one that V8 made, with its call sites. */
function forbiddenObjects(): Map<unknown, string> {
  const names =
    'process Buffer setTimeout setImmediate structuredClone WebAssembly fetch console crypto Error Function eval';
  const objects = new Map<unknown, string>(names.split(' ').map((name) => [realm[name], `the realm's ${name}`]));
  return objects.set(globalThis, "the realm's global object");
}
