// A page by Hono, as the contender in the homeserver's own thread serves it.

import { defineModule, v } from '@bulkhead/sdk';
import { app } from '../workers/page.js';

export default defineModule({
  name: 'hono-page',
  config: v.strictObject({}),
  setup({ api }) {
    api.registerWebResource('/_synapse/client/page', app);
  },
});
