// Misbehaves on command, so that one can watch what becomes of it. For tours and tests; never for a real server.

import { type Awaitable, allow, type Check, defineModule, type ModuleApi, v } from '@bulkhead/sdk';
import { look } from './look.js';

type Trick = (api: ModuleApi) => Awaitable<Check | string>;

const tricks: Readonly<Record<string, Trick>> = {
  loop() {
    for (;;);
  },

  abort() {
    // V8 ends the whole process over this, whatever thread it runs in.
    return `filled ${new Array(1e8).fill(0).length} elements and lived`;
  },

  throw() {
    throw new Error('thrown on command');
  },

  hang() {
    return new Promise<never>(() => {});
  },

  lie() {
    return 42 as unknown as boolean;
  },

  async leak(api) {
    const seen = await look(api);
    return `could see: ${seen.join(', ') || 'nothing'}`;
  },

  flood(api) {
    for (let i = 0; i < 100_000; i++) {
      api.logger.warn(`flood ${i}`);
      api.storage.increment('flood').catch(() => {});
    }
    return allow();
  },

  huge() {
    return 'x'.repeat(10_000_000);
  },
};

export default defineModule({
  name: 'rogue',
  config: v.strictObject({
    trigger: v.optional(
      v.pipe(v.string(), v.regex(/^\S+$/, 'expected the one word that commands begin with')),
      '!rogue',
    ),
  }),

  setup: ({ config, api }) => ({
    checkEventForSpam(event) {
      const [trigger, command = ''] = String(event.content.body ?? '').split(' ');
      if (trigger !== config.trigger || !Object.hasOwn(tricks, command)) return allow();
      return tricks[command]?.(api) ?? allow();
    },
  }),
});
