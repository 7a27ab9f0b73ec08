// Evaluates a script in a real SES compartment, in a thread of its own because lockdown is for ever.

import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';

const runtimeRequire = createRequire(new URL('../../packages/runtime/package.json', import.meta.url));

export type Result = { readonly value: unknown } | { readonly error: string; readonly stack: string };

/** Calls what the module exports under that name. */
export function callInCompartment(script: string, name: string, ...args: readonly unknown[]): Promise<Result> {
  const worker = new Worker(IN_THREAD, {
    eval: true,
    workerData: { script, name, args, ses: runtimeRequire.resolve('ses') },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

const IN_THREAD = `
const { parentPort, workerData } = require('node:worker_threads');
require(workerData.ses);
lockdown({ overrideTaming: 'severe', evalTaming: 'safe-eval', localeTaming: 'unsafe', errorTrapping: 'none', unhandledRejectionTrapping: 'none' });
const compartment = new Compartment({
  globals: { Date, URL, URLSearchParams, Request, Response, Headers, TextEncoder, TextDecoder },
  __options__: true,
});
(async () => {
  try {
    const namespace = compartment.evaluate(workerData.script);
    parentPort.postMessage({ value: await namespace[workerData.name](...workerData.args) });
  } catch (error) {
    parentPort.postMessage({ error: String(error), stack: getStackString(error) });
  }
})();
`;
