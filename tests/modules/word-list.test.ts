import t from 'tap';
import { message, startModules, stateEvent } from './harness.js';

const yaml = `
modules:
  - module: ./modules/word-list/index.ts
    id: word-list
    config:
      lists:
        gambling: { words: [casino, free spins, straße], reason: No gambling }
        unspaced: { words: [赌场], anywhere: true }
`;

const { spamChecker } = await startModules(t, yaml);

t.test('checkEventForSpam', async (t) => {
  const refused = {
    'another case': { body: 'CASINO!' },
    'a phrase over two lines': { body: 'get free\n  spins' },
    'full width': { body: 'ｃａｓｉｎｏ' },
    'mathematical letters': { body: '𝐜𝐚𝐬𝐢𝐧𝐨' },
    accents: { body: 'çasinó' },
    'invisible characters': { body: 'ca\u200bsi\u00adno' },
    'ss for ß': { body: 'strasse' },
    'inside a word, where the list says so': { body: '去大赌场吧' },
    'a formatted body': { body: '', formatted_body: 'ca<b></b>si<i>no</i>' },
    entities: { body: '', formatted_body: '&#99;asin&#x6f;' },
    'an edit': { body: '* hello', 'm.new_content': { body: 'casino' } },
  };
  for (const [name, content] of Object.entries(refused)) {
    t.match(await spamChecker.checkEventForSpam(message(content)), { allowed: false, status: 403 }, name);
  }
  t.match(
    await spamChecker.checkEventForSpam(stateEvent('m.room.topic', { topic: 'casino' })),
    { allowed: false, errcode: 'M_FORBIDDEN', error: 'No gambling', module: 'word-list' },
    'a topic',
  );
  t.match(await spamChecker.checkEventForSpam(stateEvent('m.room.name', { name: 'casino' })), { allowed: false });

  const allowed = {
    'no listed word': { body: 'hello' },
    'part of a longer word': { body: 'casinos' },
    'words on two lines': { body: '', formatted_body: 'ca<br>sino' },
    'no text at all': { body: 3, formatted_body: null, 'm.new_content': 'casino' },
    'an entity beyond Unicode': { body: '', formatted_body: '&#1114112;' },
  };
  for (const [name, content] of Object.entries(allowed)) {
    t.match(await spamChecker.checkEventForSpam(message(content)), { allowed: true, failures: [] }, name);
  }
});

t.test('a hostile body takes no time', async (t) => {
  const content = { body: 'free '.repeat(6_000), formatted_body: '<'.repeat(30_000) };
  await spamChecker.checkEventForSpam(message({ body: '' }));
  const before = performance.now();
  t.match(await spamChecker.checkEventForSpam(message(content)), { allowed: true });
  t.ok(performance.now() - before < 250);
});

t.test('checkUsernameForSpam', async (t) => {
  const profile = (user_id: string, display_name: string | null) =>
    spamChecker.checkUsernameForSpam({ user_id, display_name, avatar_url: null }, '@alice:example.com');
  t.match(await profile('@a:example.com', 'Casino Royale'), { allowed: false });
  t.match(await profile('@casino:example.com', null), { allowed: false });
  t.match(await profile('@a:casino', 'A'), { allowed: true, failures: [] });
});

t.test('profiles are left alone if the admin wants that', async (t) => {
  const { spamChecker } = await startModules(t, `${yaml}      hide_profiles: false\n`);
  const profile = { user_id: '@casino:example.com', display_name: null, avatar_url: null };
  t.match(await spamChecker.checkUsernameForSpam(profile, '@alice:example.com'), { allowed: true });
});
