import { ConfigurationError } from '@bulkhead/runtime';
import { event, testModule } from '@bulkhead/sdk/testing';
import t from 'tap';

const wordList = new URL('../../packages/examples/modules/word-list/index.ts', import.meta.url);
const demo = new URL('../../packages/examples/modules/demo/index.ts#DemoModule', import.meta.url);

t.test('a module with a default export and a configuration', async (t) => {
  const tested = await testModule(wordList, { config: { lists: { bad: { words: ['casino'], reason: 'no' } } } });
  t.teardown(() => tested.close());
  t.match(await tested.spamChecker.checkEventForSpam(event()), { allowed: true });
  t.match(await tested.spamChecker.checkEventForSpam(event({ content: { body: 'casino' } })), {
    allowed: false,
    error: 'no',
  });
});

t.test('a named export, on a server of the test’s own', async (t) => {
  const tested = await testModule(demo, { homeserver: { serverName: 'example.com' } });
  t.teardown(() => tested.close());
  t.match(await tested.spamChecker.userMayCreateRoom('@evilguy:example.com', {}), { allowed: false });
  const response = await tested.fetch(new Request('http://localhost/_synapse/client/demo/hello?name=bob'));
  t.same(await response?.json(), { hello: 'bob' });
});

t.test('a wrong configuration fails as a start would', async (t) => {
  await t.rejects(testModule(wordList, { config: { lists: 5 } }), ConfigurationError);
});

t.test('what is logged is kept', async (t) => {
  const tested = await testModule(demo, { entry: { isolation: 'thread' } });
  t.teardown(() => tested.close());
  t.ok(tested.logged.some(({ level, message }) => level === 'warn' && message.includes('isolation: thread')));
});
