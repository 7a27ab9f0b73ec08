// Modules that keep their thread, or try to keep other people's.

import { inCallback, inConstructor, inParseConfig, inRequest } from './attacker.ts';

function loop(): never {
  for (;;);
}

export const LoopInParseConfig = inParseConfig(loop);
export const LoopInConstructor = inConstructor(loop);
export const LoopInCallback = inCallback(loop);
export const LoopInRequest = inRequest(loop);
/** V8 does not let itself be interrupted in it. */
export const Unendable = inCallback(() => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1));
