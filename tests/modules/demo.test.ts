import t from 'tap';
import { ask, startModules } from './harness.js';

const yaml = `
modules:
  - module: ./modules/demo/index.ts#DemoModule
    id: demo
    config: { anything: [goes] }
`;

const modules = await startModules(t, yaml);

t.test('room creation is refused to one user alone', async (t) => {
  const { spamChecker } = modules;
  t.match(await spamChecker.userMayCreateRoom('@evilguy:example.com', {}), {
    allowed: false,
    cause: 'refused',
    module: 'demo',
    status: 403,
    errcode: 'M_FORBIDDEN',
  });
  t.match(await spamChecker.userMayCreateRoom('@alice:example.com', {}), { allowed: true, failures: [] });
});

t.test('the web resource greets', async (t) => {
  const at = (path: string) => new Request(`http://example.com/_synapse/client/demo${path}`);

  const hello = await ask(modules, at('/hello?name=bob'));
  t.equal(hello.status, 200);
  t.match(hello.headers.get('content-type'), /^application\/json/);
  t.equal(await hello.text(), '{"hello":"bob"}');

  const nameless = await ask(modules, at('/hello'));
  t.equal(nameless.status, 400);
  t.same(await nameless.json(), { errcode: 'M_MISSING_PARAM', error: 'Missing query parameter: name' });

  t.equal(await modules.fetch(at('/elsewhere')), undefined);
});
