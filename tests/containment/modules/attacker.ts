// What attackers have in common: where they strike. Each is quiet until it is its turn, and answers whatever a deed returns,
// so that the suite sees what an attack has got hold of.

import type { Awaitable, CallContext, Check, MatrixEvent, ModuleApi } from '@bulkhead/sdk';

export type Deed = (
  api: ModuleApi,
  content: Readonly<Record<string, unknown>>,
  context: CallContext,
) => Awaitable<unknown>;

export interface AttackerClass {
  new (config: unknown, api: ModuleApi): object;
}

/** Strikes when it is asked about the event that names it; what the deed returns is the reason of a refusal. */
export const inCallback = (deed: Deed): AttackerClass =>
  class {
    constructor(_config: unknown, api: ModuleApi) {
      api.registerSpamCheckerCallbacks({
        checkEventForSpam: ({ content }: MatrixEvent, context: CallContext): Awaitable<Check | string> =>
          content.attack === api.moduleId ? answer(deed(api, content, context)) : false,
      });
    }
  };

/** Strikes when its web resource, `/_synapse/client/attacker`, is asked. */
export const inRequest = (deed: (api: ModuleApi, request: Request) => Awaitable<Response | string>): AttackerClass =>
  class {
    constructor(_config: unknown, api: ModuleApi) {
      api.registerSpamCheckerCallbacks({ checkEventForSpam: () => false });
      api.registerWebResource('/_synapse/client/attacker', async (request) => {
        const answered = await deed(api, request);
        return typeof answered === 'string' ? new Response(answered) : answered;
      });
    }
  };

/** Strikes a moment after it was asked and has answered. */
export const afterwards = (deed: (api: ModuleApi) => unknown): AttackerClass =>
  inCallback((api) => {
    setTimeout(() => void deed(api), 1);
    return false;
  });

/** Strikes while its configuration is looked at. */
export const inParseConfig = (deed: () => unknown): AttackerClass =>
  class {
    static parseConfig(): unknown {
      return deed();
    }
    readonly ready = true;
  };

/** Strikes while it is constructed, in its first life or in each. */
export const inConstructor = (deed: (api: ModuleApi) => unknown): AttackerClass =>
  class {
    constructor(_config: unknown, api: ModuleApi) {
      api.registerSpamCheckerCallbacks({ checkEventForSpam: () => false });
      deed(api);
    }
  };

function answer(returned: Awaitable<unknown>): Awaitable<Check | string> {
  // A deed's own promise or thenable goes to the runtime as it is: it may be the attack.
  if (typeof returned === 'object' && returned !== null) return returned as Awaitable<Check>;
  return returned === false ? false : `did it: ${returned}`;
}
