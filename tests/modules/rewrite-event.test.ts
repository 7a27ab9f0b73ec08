import t from 'tap';
import { message, startModules, stateEvent, stateOf } from './harness.js';

const yaml = `
modules:
  - module: ./modules/rewrite-event/index.ts
    id: rewrite-event
    config:
      parameters: [utm_*, fbclid]
      initial_state:
        - type: m.room.guest_access
          content: { guest_access: forbidden }
`;

const requester = {
  userId: '@alice:example.com',
  isGuest: false,
  shadowBanned: false,
  authenticatedEntity: '@alice:example.com',
};

const { thirdPartyRules } = await startModules(t, yaml);

t.test('tracking parameters leave links', async (t) => {
  const sent = async (content: Record<string, unknown>) => {
    const outcome = await thirdPartyRules.checkEventAllowed(message(content), stateOf());
    t.match(outcome, { allowed: true, failures: [] });
    return outcome.allowed ? outcome.replacement?.event.content : undefined;
  };

  const bodies: [written: string, sent: string][] = [
    ['see https://a.example/c?id=7&utm_source=x.', 'see https://a.example/c?id=7.'],
    ['https://a.example/?utm_a=1&utm_b=2#part', 'https://a.example/#part'],
    ['https://a.example/?a=1&fbclid=x&b=%20', 'https://a.example/?a=1&b=%20'],
    ['(HTTPS://a.example?fbclid)', '(HTTPS://a.example)'],
  ];
  for (const [written, expected] of bodies) t.same(await sent({ body: written }), { body: expected });

  t.same(await sent({ body: 'x', formatted_body: '<a href="https://a.example/?x=1&amp;utm_y=2&amp;z=3">x</a>' }), {
    body: 'x',
    formatted_body: '<a href="https://a.example/?x=1&amp;z=3">x</a>',
  });
  t.same(await sent({ body: 'x', 'm.new_content': { body: 'https://a.example/?utm_x=1' } }), {
    body: 'x',
    'm.new_content': { body: 'https://a.example/' },
  });
  t.equal(await sent({ body: 'https://a.example/?utmost=1&amp;c=2 utm_x=1' }), undefined, 'nothing to do');
});

t.test('the replacement is the event with its content changed', async (t) => {
  const event = message({ msgtype: 'm.text', body: 'https://a.example/?utm_x=1' });
  t.match(await thirdPartyRules.checkEventAllowed(event, stateOf()), {
    replacement: {
      module: 'rewrite-event',
      event: { ...event, content: { msgtype: 'm.text', body: 'https://a.example/' } },
    },
  });
});

t.test('events of other types and servers stay as they are', async (t) => {
  const content = { body: 'https://a.example/?utm_x=1' };
  const topic = await thirdPartyRules.checkEventAllowed(stateEvent('m.room.topic', content), stateOf());
  t.match(topic, { allowed: true, replacement: undefined });
  const remote = await thirdPartyRules.checkEventAllowed(message(content), stateOf(), { origin: 'federation' });
  t.match(remote, { allowed: true, replacement: undefined });
});

t.test('new rooms get the default state', async (t) => {
  const create = (content: Record<string, unknown>) => thirdPartyRules.onCreateRoom(requester, content, false);
  const ours = { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'forbidden' } };

  t.match(await create({ name: 'x' }), { allowed: true, content: { name: 'x', initial_state: [ours] }, failures: [] });

  const wanted = { type: 'm.room.guest_access', content: { guest_access: 'can_join' } };
  const own = await create({ initial_state: [wanted] });
  t.same(own.allowed && own.content, { initial_state: [wanted] }, "the creator's own wish stands");

  const malformed = await create({ initial_state: 'x' });
  t.same(malformed.allowed && malformed.content, { initial_state: 'x' });
});
