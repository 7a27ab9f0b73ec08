// What a grant covers, and that the line in the message, pasted into a file, is the grant that was missing.

import { createRequire } from 'node:module';
import t from 'tap';
import { coversHost } from '../../packages/runtime/src/api/hosts.ts';
import { coversPath } from '../../packages/runtime/src/api/paths.ts';
import { grantLine, permits, requirePermission } from '../../packages/runtime/src/api/permissions.ts';

const { parse } = createRequire(new URL('../../packages/runtime/package.json', import.meta.url))('yaml') as {
  parse(text: string, options: { version: '1.1' }): unknown;
};

const none = { network: [], users: [], rooms: [], web: [], web_paths: [] };

t.test('a scope is covered by its own group and access alone', async (t) => {
  t.equal(permits(none, 'none'), true);
  t.equal(permits(none, 'users:read'), false);
  t.equal(permits({ ...none, users: ['read'] }, 'users:read'), true);
  t.equal(permits({ ...none, rooms: ['read'] }, 'users:read'), false);
  t.equal(permits({ ...none, rooms: ['read'] }, 'rooms:write'), false);
  t.equal(permits({ ...none, rooms: ['write'] }, 'rooms:read'), false);
});

t.test('a refusal says which permission, and the line that grants it', async (t) => {
  t.doesNotThrow(() => requirePermission({ ...none, users: ['read'] }, 'users:read', 'getProfile'));
  t.doesNotThrow(() => requirePermission(none, 'none', 'storage.get'));
  t.throws(() => requirePermission(none, 'users:read', 'getProfile'), {
    name: 'ApiError',
    code: 'PermissionDenied',
    message:
      "getProfile needs the permission users:read; to grant it, the module's entry says permissions: { users: [read] }",
  });
});

t.test('the line is YAML that says the same', async (t) => {
  const hosts = ['api.example.com', 'api.example.com:8443', '*.example.com', '*', '127.0.0.1:9000', '[::1]:9000'];
  for (const host of [...hosts, 'localhost:80', 'api.example.com:*', 'no', '10.0.0.5', '1e5', 'a: b', '"', 'xn--a']) {
    const line = grantLine({ network: [host] });
    t.strictSame(parse(line, { version: '1.1' }), { permissions: { network: [host] } }, host);
  }
  const all = { users: ['read'], rooms: ['read', 'write'], web: ['cookies', 'service_worker', 'credentials'] };
  const paths = { web_paths: ['/a', '/a/b-c/*', '/', '/*', '/ä ö', '/x#y', '/a: b', '/"', '/a, b', '/[x]', '/~me'] };
  t.strictSame(parse(grantLine({ ...paths, ...all }), { version: '1.1' }), { permissions: { ...paths, ...all } });
});

t.test('a host that is needed is covered by grants that let every such request through', async (t) => {
  const yes: readonly (readonly [grant: string, need: string])[] = [
    ['api.example.com', 'api.example.com'],
    ['api.example.com', 'API.example.com:443'],
    ['api.example.com', 'api.example.com:80'],
    ['api.example.com:443', 'api.example.com'],
    ['api.example.com:8443', 'api.example.com:8443'],
    ['api.example.com:*', 'api.example.com:8443'],
    ['api.example.com:*', 'api.example.com:*'],
    ['*.example.com:8443', 'api.example.com:8443'],
    ['*.example.com', '*.api.example.com'],
    ['*', '*'],
    ['*', '*.example.com'],
    ['*:9000', '8.8.8.8:9000'],
    ['127.0.0.1:9000', '127.1:9000'],
    ['localhost:*', 'localhost:9000'],
  ];
  const no: readonly (readonly [grant: string, need: string])[] = [
    ['api.example.com', 'api.example.com:8443'],
    ['api.example.com:8443', 'api.example.com'],
    ['api.example.com:8443', 'api.example.com:*'],
    ['*.example.com', 'example.com'],
    ['*.example.com', 'evilexample.com'],
    ['*.api.example.com', '*.example.com'],
    ['api.example.com', '*.example.com'],
    ['*.example.com', '*'],
    // `*` is every public host; these have to be named.
    ['*:*', 'localhost:9000'],
    ['*:*', '10.0.0.5:9000'],
    ['*:*', '[::1]:9000'],
  ];
  for (const [grant, need] of yes) t.equal(coversHost([grant], need), true, `${grant} covers ${need}`);
  for (const [grant, need] of no) t.equal(coversHost([grant], need), false, `${grant} does not cover ${need}`);
  t.equal(coversHost(['a.example', 'b.example'], 'b.example'), true);
  t.equal(coversHost([], 'b.example'), false);
});

t.test('a path is covered at segment borders, however it is spelled', async (t) => {
  const yes: readonly (readonly [grant: string, path: string])[] = [
    ['/a', '/a'],
    ['/a', '/a/'],
    ['/a', '/a/b'],
    ['/a', '/a/*'],
    ['/a/*', '/a/b'],
    ['/a/*', '/a/*'],
    ['/*', '/a'],
    ['/', '/'],
    ['/a%20b', '/a b/c'],
  ];
  const no: readonly (readonly [grant: string, path: string])[] = [
    ['/a', '/ab'],
    ['/a/*', '/a'],
    ['/a/*', '/a/'],
    ['/a/*', '/a/b/..'],
    ['/a', '/a/../b'],
    ['/a', '/a/%2e%2e/b'],
    ['/a', '/'],
    ['/*', '/'],
    ['/a/b', '/a/*'],
  ];
  for (const [grant, path] of yes) t.equal(coversPath([grant], path), true, `${grant} covers ${path}`);
  for (const [grant, path] of no) t.equal(coversPath([grant], path), false, `${grant} does not cover ${path}`);
});
