// Two good modules, whose answers are known: whatever an attacker does, they must stay right.

import { type Check, deny, type MatrixEvent, type ModuleApi } from '@bulkhead/sdk';

/** Refuses a word, and hides a name. */
export class Words {
  constructor(_config: unknown, api: ModuleApi) {
    api.registerSpamCheckerCallbacks({
      checkEventForSpam: ({ content }: MatrixEvent): Check =>
        String(content.body ?? '').includes('spam')
          ? deny({ code: 'ORG_EXAMPLE_SPAM', reason: 'no spam here' })
          : false,
      checkUsernameForSpam: ({ display_name }): boolean => display_name !== 'spammer',
    });
  }
}

/** Answers a path, and counts in its storage. */
export class Page {
  constructor(_config: unknown, api: ModuleApi) {
    api.registerSpamCheckerCallbacks({ userMayCreateRoom: (userId) => userId !== '@banned:example.com' });
    api.registerWebResource('/_synapse/client/page', async ({ url }) => {
      await api.storage.increment('visits');
      return new Response(`page ${new URL(url).searchParams.get('n')}`);
    });
  }
}
