// Works for so many rounds, and refuses with the milliseconds that it took.

import { defineModule, deny, v } from '@bulkhead/sdk';
import { sums } from '../workers/sums.js';

export default defineModule({
  name: 'sums',
  stateless: true,
  config: v.strictObject({}),
  setup: () => ({
    checkEventForSpam({ content }) {
      const startedAt = performance.now();
      sums(Number(content.rounds));
      return deny({ reason: String(performance.now() - startedAt) });
    },
  }),
});
