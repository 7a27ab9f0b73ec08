import { defineModule, deny, v } from '@bulkhead/sdk';

export default defineModule({
  name: 'refuses',
  config: v.strictObject({}),
  setup: () => ({ checkEventForSpam: () => deny() }),
});
