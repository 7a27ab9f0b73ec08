// Refuses messages, names and topics that contain a listed word, and hides users who carry one in their name.

import { allow, defineModule, deny, v } from '@bulkhead/sdk';
import { compileLists, fold } from './matcher.js';
import { textsOf } from './texts.js';

const Word = v.pipe(
  v.string(),
  v.maxLength(100, 'expected a word of at most 100 characters'),
  v.check((word) => fold(word) !== '', 'expected a word with at least one visible character'),
);

const List = v.strictObject({
  words: v.pipe(v.array(Word), v.minLength(1, 'expected at least one word')),
  reason: v.optional(v.string(), 'Your message contains a word that is not welcome here'),
  anywhere: v.optional(v.boolean(), false),
});

const Config = v.strictObject({
  lists: v.pipe(
    v.record(v.pipe(v.string(), v.regex(/^[a-z0-9_-]{1,64}$/, 'expected a list name of a-z, 0-9, _ and -')), List),
    v.minEntries(1, 'expected at least one list'),
  ),
  hide_profiles: v.optional(v.boolean(), true),
});

export default defineModule({
  name: 'word-list',
  config: Config,
  permissions: { storage: '1MiB' },

  setup({ config, api }) {
    const find = compileLists(Object.entries(config.lists).map(([name, list]) => ({ name, ...list })));

    function countHit(list: string): void {
      // Not awaited: the verdict does not depend on the count, and a full storage must not turn it into a failure.
      api.storage
        .increment(`hits:${list}`)
        .catch((error: Error) => api.logger.warn('could not count a hit', { list, error: error.message }));
    }

    return {
      checkEventForSpam(event) {
        for (const text of textsOf(event.content)) {
          const list = find(text);
          if (!list) continue;
          countHit(list.name);
          return deny({ reason: list.reason });
        }
        return allow();
      },

      checkUsernameForSpam(profile) {
        if (!config.hide_profiles) return allow();
        const names = [profile.display_name ?? '', profile.user_id.slice(1, profile.user_id.indexOf(':'))];
        return names.some(find) ? deny() : allow();
      },
    };
  },
});
