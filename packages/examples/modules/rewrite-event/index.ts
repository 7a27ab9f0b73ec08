// Takes tracking parameters out of links before a message is sent, and gives new rooms a default state.

import { allow, defineModule, v } from '@bulkhead/sdk';
import { compileCleaner } from './links.js';

const Parameter = v.pipe(
  v.string(),
  v.regex(/^[\w.-]+\*?$/, 'expected the name of a query parameter, with * at its end for all that begin so'),
);

const StateEvent = v.strictObject({
  type: v.pipe(v.string(), v.nonEmpty('expected an event type')),
  state_key: v.optional(v.string(), ''),
  content: v.record(v.string(), v.unknown()),
});

const Config = v.strictObject({
  parameters: v.optional(v.array(Parameter), ['utm_*', 'fbclid', 'gclid', 'msclkid', 'mc_eid', 'igshid']),
  initial_state: v.optional(v.array(StateEvent), []),
});

/** The fields of a message, and of an edit's new content, in which links stand. */
const TEXTS = ['body', 'formatted_body'] as const;

export default defineModule({
  name: 'rewrite-event',
  config: Config,

  setup({ config }) {
    const clean = compileCleaner(config.parameters);

    /** Cleans `content` in place; whether there was anything to clean. */
    function cleanContent(content: Record<string, unknown>): boolean {
      let changed = false;
      for (const field of TEXTS) {
        const text = content[field];
        if (typeof text !== 'string') continue;
        const cleaned = clean(text);
        if (cleaned === text) continue;
        content[field] = cleaned;
        changed = true;
      }
      const edited = content['m.new_content'];
      return (isObject(edited) && cleanContent(edited)) || changed;
    }

    return {
      checkEventAllowed(event, _state, { origin }) {
        // Other servers have accepted their events as they are: the host would drop a replacement.
        if (event.type !== 'm.room.message' || origin === 'federation') return allow();
        const dict = event.getDict();
        return cleanContent(dict.content) ? [true, dict] : allow();
      },

      onCreateRoom(_requester, content) {
        const given = content.initial_state ?? [];
        // Malformed: the homeserver has the better error message.
        if (!Array.isArray(given)) return;
        const missing = config.initial_state.filter((event) => !given.some((other) => isSameState(event, other)));
        // Ours go first, so that whatever the user asked for comes after and stands.
        return { ...content, initial_state: [...missing, ...given] };
      },
    };
  },
});

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function isSameState(event: v.InferOutput<typeof StateEvent>, other: unknown): boolean {
  return isObject(other) && other.type === event.type && (other.state_key ?? '') === event.state_key;
}
