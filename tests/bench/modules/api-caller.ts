// Calls the ModuleApi as often as it is told, so many at a time.

import { allow, defineModule, v } from '@bulkhead/sdk';

export default defineModule({
  name: 'api-caller',
  config: v.strictObject({}),
  permissions: { users: ['read'] },
  setup: ({ api }) => ({
    async checkEventForSpam({ content }) {
      let left = Number(content.calls);
      const one = async () => {
        while (left-- > 0) await api.getProfile('@alice:example.com');
      };
      await Promise.all(Array.from({ length: Number(content.abreast) }, one));
      return allow();
    },
  }),
});
