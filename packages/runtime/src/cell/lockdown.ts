// Makes the start realm safe to share with a module: SES freezes the language's own objects, and the web classes that a
// compartment is endowed with are frozen here. Nothing in a cell may run before it but the runtime's own code.

import 'ses';
import { setMaxListeners } from 'node:events';
import { inspect } from 'node:util';
import { enableOverrides } from './overrides.js';
import { sharedObjects } from './shared.js';

/** Called once per thread, before any module's code. */
export function lockdownCell(): void {
  quietNode();
  const shared = sharedObjects();
  enableOverrides(shared);
  lockdown({
    errorTaming: 'safe',
    overrideTaming: 'severe',
    evalTaming: 'safe-eval',
    localeTaming: 'unsafe',
    consoleTaming: 'unsafe',
    domainTaming: 'safe',
    stackFiltering: 'verbose',
    reporting: 'none',
    // The bootstrap counts and reports both.
    errorTrapping: 'none',
    unhandledRejectionTrapping: 'none',
  });
  for (const object of shared) Object.freeze(object);
}

/** The stack of an error, which the error itself does not show after lockdown. Never throws. */
export function getStackString(error: Error): string {
  const get = (globalThis as { getStackString?: (error: Error) => string }).getStackString;
  try {
    return get === undefined ? (error.stack ?? '') : get(error);
  } catch {
    return '';
  }
}

function quietNode(): void {
  // Many of Node's error messages print their argument with `inspect`, which hands itself to a method that the argument
  // may bring along: a module would hold a Node function that looks through proxies.
  inspect.defaultOptions = { customInspect: false };
  // A warning for every target with eleven listeners would let a module write to the hull's stderr.
  setMaxListeners(0);
}
