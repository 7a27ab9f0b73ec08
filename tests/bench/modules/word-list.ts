// The check of all contenders as a module.

import { allow, defineModule, deny, v } from '@bulkhead/sdk';
import { isSpam } from '../workers/word-list.js';

export default defineModule({
  name: 'word-list',
  config: v.strictObject({}),
  setup: () => ({
    checkEventForSpam: (event) => (isSpam(event) ? deny() : allow()),
  }),
});
