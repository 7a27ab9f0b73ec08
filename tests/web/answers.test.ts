// What of a request enters a cell, what of a response leaves it, and what becomes of a module that does not answer.

import t from 'tap';
import { containments, eventually, fixtures, lifeOf, reborn, sleep } from '../runtime/harness.ts';
import { answer, said, startWeb, web } from './harness.ts';

const request = {
  method: 'POST',
  body: 'the body',
  headers: {
    Authorization: 'Bearer secret',
    cookie: 'session=secret',
    'proxy-authorization': 'Basic secret',
    'content-type': 'text/plain',
    'x-other': 'kept',
  },
};

for (const containment of containments) {
  t.test(`${containment}: the request as the module sees it`, async (t) => {
    const path = '/_synapse/client/seen';
    const modules = await startWeb(
      t,
      [
        web('seen', { [path]: 'seen' }),
        web('trusted', { '/_synapse/client/trusted': 'seen' }, { permissions: { web: ['credentials'] } }),
      ],
      { containment },
    );
    const seen = await (
      await answer(modules, `${path}/deeper?a=1&access_token=secret&b=%20&access_token=x`, request)
    ).json();
    t.match(seen, {
      method: 'POST',
      url: `http://localhost:8008${path}/deeper?a=1&b=+`,
      headers: { 'content-type': 'text/plain', 'x-other': 'kept' },
      body: 'the body',
    });
    t.notMatch(JSON.stringify(seen), /secret/);
    const plain = await (await answer(modules, `${path}?a=%20b#hash`)).json();
    t.match(plain, { method: 'GET', url: `http://localhost:8008${path}?a=%20b`, body: null }, 'otherwise as it came');

    const trusted = await (await answer(modules, '/_synapse/client/trusted?access_token=secret', request)).json();
    t.match(trusted, {
      url: 'http://localhost:8008/_synapse/client/trusted?access_token=secret',
      headers: { authorization: 'Bearer secret', cookie: 'session=secret', 'proxy-authorization': 'Basic secret' },
    });
  });

  t.test(`${containment}: a Hono app`, async (t) => {
    const modules = await startWeb(t, [web('app', { '/_synapse/client/hono': 'hono' })], { containment });
    t.same(await (await answer(modules, '/_synapse/client/hono/hello?name=bob')).json(), { hello: 'bob', id: 'app' });
    t.equal(await (await answer(modules, '/_synapse/client/hono/echo', request)).text(), 'the body');
    t.equal((await answer(modules, '/_synapse/client/hono/nowhere')).status, 404);
  });
}

t.test('response headers', async (t) => {
  const modules = await startWeb(t, [
    web('plain', { '/_synapse/client/h': 'headers', '/_synapse/client/svg': 'svg', '/_synapse/client/json': 'json' }),
    web('granted', { '/_synapse/client/g': 'headers' }, { permissions: { web: ['cookies', 'service_worker'] } }),
  ]);
  const { headers } = await answer(modules, '/_synapse/client/h');
  t.same(Object.fromEntries(headers), {
    'content-type': 'text/html; charset=utf-8',
    'x-custom': 'kept',
    'x-content-type-options': 'nosniff',
    'content-security-policy': `img-src 'none', sandbox allow-forms allow-scripts; default-src 'self' 'unsafe-inline' data:`,
  });
  const granted = await answer(modules, '/_synapse/client/g');
  t.same(granted.headers.getSetCookie(), ['a=1', 'b=2']);
  t.equal(granted.headers.get('service-worker-allowed'), '/');
  t.match((await answer(modules, '/_synapse/client/svg')).headers.get('content-security-policy'), /sandbox/);
  const json = await answer(modules, '/_synapse/client/json');
  t.same(Object.fromEntries(json.headers), { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' });
});

t.test('HEAD, 204 and 304 have no body', async (t) => {
  const modules = await startWeb(t, [
    web('m', {
      '/_synapse/client/none': 'noContent',
      '/_synapse/client/same': 'notModified',
      '/_synapse/client/endless': 'endless',
    }),
  ]);
  const none = await answer(modules, '/_synapse/client/none');
  t.match([none.status, none.body], [204, null]);
  const same = await answer(modules, '/_synapse/client/same');
  t.match([same.status, same.body, same.headers.get('etag')], [304, null, '"1"']);
  const head = await answer(modules, '/_synapse/client/endless', { method: 'HEAD' });
  t.match([head.status, head.body], [200, null]);
  await eventually(() => said(modules, 'cancelled').length === 1);
  t.pass('the body that the module gave all the same is cancelled');
});

t.test('modules that do not answer', async (t) => {
  const paths = Object.fromEntries(
    ['loops', 'hangs', 'throws', 'nothing', 'text', 'id'].map((name) => [`/_synapse/client/m/${name}`, name]),
  );
  const modules = await startWeb(t, [web('m', paths, { timeout: '300ms', breaker: { failures: 100 } })]);
  const statusOf = async (name: string): Promise<number> => {
    const response = await answer(modules, `/_synapse/client/m/${name}`);
    const body = (await response.json()) as { errcode: string; error: string };
    t.match(body, { errcode: 'M_UNKNOWN', error: String });
    t.notMatch(body.error, /secret/);
    return response.status;
  };
  t.equal(await statusOf('throws'), 500, 'one that throws');
  t.equal(await statusOf('nothing'), 500, 'one that answers no Response');
  t.equal(await statusOf('text'), 500);
  t.equal(await statusOf('hangs'), 504, 'a slow one');
  await eventually(() => said(modules, 'aborted').length === 1);
  t.pass('whose signal is aborted');
  t.equal(modules.status()[0]?.restarts, 0, 'which is no reason to end it');
  // While it is asked for signs of life because of that, what blocks it has less time.
  for (let sign = 0; sign < 2; sign++) t.equal((await answer(modules, '/_synapse/client/m/id')).status, 200);

  const looping = answer(modules, '/_synapse/client/m/loops');
  await sleep(50);
  const behind = answer(modules, '/_synapse/client/m/id');
  t.equal((await looping).status, 504, 'a looping one');
  t.match((await behind).status, /503|504/);
  await eventually(async () => (await answer(modules, '/_synapse/client/m/id')).status === 200);
});

t.test('a dead module', async (t) => {
  const modules = await startWeb(t, [web('m', { '/_synapse/client/m': 'id' }, { breaker: { failures: 2 } })]);
  process.kill(modules.status()[0]?.hullPid as number, 'SIGKILL');
  await eventually(() => modules.hulls.length === 1);
  t.equal((await answer(modules, '/_synapse/client/m')).status, 200, 'is waited for while it begins anew');
  process.kill(modules.status()[0]?.hullPid as number, 'SIGKILL');
  await eventually(() => modules.status()[0]?.state === 'parked');
  t.equal((await answer(modules, '/_synapse/client/m')).status, 503, 'and is not when it is parked');
});

t.test('who makes the request', async (t) => {
  const tokens: unknown[] = [];
  const requester = {
    userId: '@alice:example.com',
    isGuest: false,
    shadowBanned: false,
    authenticatedEntity: '@alice:example.com',
  };
  const modules = await startWeb(
    t,
    [
      web(
        'm',
        {
          '/_synapse/client/who': 'whoami',
          '/_synapse/client/later': 'whoamiLater',
          '/_synapse/client/forged': 'whoamiForged',
        },
        {
          permissions: { users: ['read'] },
        },
      ),
      web('ungranted', { '/_synapse/client/ungranted': 'whoami' }),
    ],
    {
      homeserver: {
        getUserByRequest: (request, options) => {
          tokens.push([request.headers.get('authorization'), options]);
          if (request.headers.get('authorization') === null) {
            throw Object.assign(new Error('Missing access token'), { errcode: 'M_MISSING_TOKEN' });
          }
          return requester;
        },
      },
    },
  );
  t.same(await (await answer(modules, '/_synapse/client/who', request)).json(), requester);
  t.same(tokens, [['Bearer secret', { allowGuest: true }]], 'the homeserver sees the request as it came');
  t.equal((await answer(modules, '/_synapse/client/who')).status, 500, 'an uncaught refusal is a failure');
  t.same(
    await (await answer(modules, '/_synapse/client/forged', request)).json(),
    ['InvalidArgument', 'InvalidArgument', 'InvalidArgument'],
    'copies of a request stand for nobody',
  );
  await (await answer(modules, '/_synapse/client/later', request)).text();
  await eventually(() => said(modules, 'later').length === 1);
  t.match(said(modules, 'later'), [{ code: 'Gone' }], 'when it was answered, nobody is asked any more');
  t.equal((await answer(modules, '/_synapse/client/ungranted', request)).status, 500);
});

t.test('a web request can cost a module its life, and no other', async (t) => {
  const modules = await startWeb(t, [
    { module: `${fixtures}puppet.ts#Puppet`, id: 'bad', limits: { memory: '32MiB' } },
  ]);
  const life = await lifeOf(modules, 'bad');
  t.equal((await answer(modules, '/_synapse/client/bad/heap')).status, 503);
  await reborn(modules, 'bad', life);
});
