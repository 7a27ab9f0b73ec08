// Makes the start realm safe to share with a module: SES freezes the language's own objects, and what a compartment is
// endowed with beside them is frozen here. Nothing in a cell may run before it but the runtime's own code.

import './transfer.js';
import 'ses';
import { enableOverrides } from './overrides.js';
import { sharedObjects } from './shared.js';
import { web } from './web/index.js';

/** Called once per thread, before any module's code. */
export function lockdownCell(): void {
  // SES gives every compartment the realm's TextDecoder, so ours have to be the realm's own.
  for (const [name, value] of Object.entries(web)) {
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  }
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
