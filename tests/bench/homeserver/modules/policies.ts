// Five modules as servers have them. Each implements both callbacks that are asked about a message, so that a message takes
// ten answers.

import { allow, defineModule, deny, v } from '@bulkhead/sdk';

const Nothing = v.strictObject({});
const bodyOf = (content: Readonly<Record<string, unknown>>): string => String(content.body ?? '');

/** Words that are not wanted, in messages, names and topics. */
export const Words = defineModule({
  name: 'words',
  config: v.strictObject({ words: v.array(v.string()) }),
  setup({ config }) {
    const pattern = new RegExp(`\\b(?:${config.words.join('|')})\\b`, 'iu');
    const judge = (text: string) => (pattern.test(text) ? deny({ reason: 'Not here, please' }) : allow());
    return {
      checkEventForSpam: ({ content }) => judge(bodyOf(content)),
      checkEventAllowed: ({ content }) => judge(`${content.name ?? ''} ${content.topic ?? ''}`),
    };
  },
});

/** Links to other places than those listed, for whom the room has given no power. */
export const Links = defineModule({
  name: 'links',
  config: v.strictObject({ hosts: v.array(v.string()) }),
  setup({ config, api }) {
    const hosts = new Set(config.hosts);
    const isElsewhere = (text: string) =>
      [...text.matchAll(/https?:\/\/([^/\s]+)/g)].some(([, host]) => !hosts.has(host ?? ''));
    api.registerSpamCheckerCallbacks({
      checkEventForSpam: async ({ content }) =>
        bodyOf(content).split('http').length > 10 ? deny({ reason: 'Too many links' }) : allow(),
    });
    api.registerThirdPartyRulesCallbacks(
      {
        checkEventAllowed: async ({ sender, content }, state) => {
          const users = (await state.get('m.room.power_levels'))?.content.users as Record<string, number> | undefined;
          const mayLink = (users?.[sender] ?? 0) >= 50 || !isElsewhere(bodyOf(content));
          return mayLink ? allow() : deny({ reason: 'No links, please' });
        },
      },
      { stateTypes: ['m.room.power_levels'] },
    );
  },
});

/** Rooms that are frozen, and messages of nothing but one character. */
export const Frozen = defineModule({
  name: 'frozen',
  config: Nothing,
  setup({ api }) {
    api.registerSpamCheckerCallbacks({
      checkEventForSpam: async ({ content }) => (/^(.)\1{20,}$/u.test(bodyOf(content)) ? deny() : allow()),
    });
    api.registerThirdPartyRulesCallbacks(
      {
        checkEventAllowed: async (_event, state) =>
          (await state.get('org.example.frozen'))?.content.frozen === true
            ? deny({ reason: 'This room is frozen' })
            : allow(),
      },
      { stateTypes: ['org.example.frozen'] },
    );
  },
});

/** More of one sender than anybody can type. */
export const Floods = defineModule({
  name: 'floods',
  config: v.strictObject({ messages: v.number(), seconds: v.number() }),
  setup({ config, api }) {
    const counts = new Map<string, number>();
    let until = 0;
    const isFlood = (sender: string) => {
      if (api.now() > until) {
        counts.clear();
        until = api.now() + config.seconds * 1000;
      }
      const count = (counts.get(sender) ?? 0) + 1;
      counts.set(sender, count);
      return count > config.messages;
    };
    return {
      checkEventForSpam: ({ sender }) => (isFlood(sender) ? deny({ reason: 'Slow down' }) : allow()),
      checkEventAllowed: ({ sender, state_key }) =>
        state_key !== undefined && isFlood(`state ${sender}`) ? deny({ reason: 'Slow down' }) : allow(),
    };
  },
});

/** Kinds of messages and of state that the server does not want. */
export const Kinds = defineModule({
  name: 'kinds',
  config: v.strictObject({ msgtypes: v.array(v.string()), not_state: v.array(v.string()) }),
  setup({ config }) {
    const msgtypes = new Set<unknown>(config.msgtypes);
    const notState = new Set(config.not_state);
    return {
      checkEventForSpam: ({ type, content }) =>
        type !== 'm.room.message' || msgtypes.has(content.msgtype) ? allow() : deny({ reason: 'Text only' }),
      checkEventAllowed: ({ type, state_key }) =>
        state_key !== undefined && notState.has(type) ? deny({ reason: 'Not on this server' }) : allow(),
    };
  },
});
