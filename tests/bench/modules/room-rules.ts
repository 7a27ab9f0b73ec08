// Looks at the power levels, which come with the call.

import { defineModule, v } from '@bulkhead/sdk';

export default defineModule({
  name: 'room-rules',
  config: v.strictObject({}),
  setup({ api }) {
    api.registerThirdPartyRulesCallbacks(
      { checkEventAllowed: async (_event, state) => (await state.get('m.room.power_levels')) !== undefined },
      { stateTypes: ['m.room.power_levels'] },
    );
  },
});
