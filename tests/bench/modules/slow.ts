// Takes its time, as one that asks a service does.

import { allow, defineModule, v } from '@bulkhead/sdk';

export default defineModule({
  name: 'slow',
  config: v.strictObject({ ms: v.number() }),
  setup: ({ config: { ms }, api }) => ({
    async checkEventForSpam() {
      await api.sleep(ms);
      return allow();
    },
  }),
});
