// Misbehaves on command, so that one can watch what becomes of it. For tours and tests; never for a real server.

import { type Awaitable, allow, type Check, defineModule, type ModuleApi, v } from '@bulkhead/sdk';
import { look } from './look.js';

type Trick = (api: ModuleApi) => Awaitable<Check | string>;

const tricks: Readonly<Record<string, Trick>> = {
  loop() {
    for (;;);
  },

  // V8 ends the whole process over each of these four, whatever thread it runs in.

  abort() {
    // More elements than any array can have, which V8 finds fatal, however much memory there is. Making the text takes long
    // enough for the watchdog to see whose doing it is.
    return `split ${'x'.repeat(135_000_000).split('').length} characters and lived`;
  },

  snap() {
    // Fatal for the same reason, within a millisecond: sorting makes room for as many elements as it is told there are.
    return `sorted ${Array.prototype.sort.call({ length: 2 ** 28 }).length} elements and lived`;
  },

  fill() {
    return `filled ${new Array(1e8).fill(0).length} elements and lived`;
  },

  grow() {
    const map = new Map<number, number>();
    for (let i = 0; ; i++) map.set(i, i);
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
  permissions: { storage: '1MiB' },
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
