// What a grant covers, and that the line in the message, pasted into a file, is the grant that was missing.

import { createRequire } from 'node:module';
import t from 'tap';
import { grantLine, permits, requirePermission } from '../../packages/runtime/src/api/permissions.ts';

const { parse } = createRequire(new URL('../../packages/runtime/package.json', import.meta.url))('yaml') as {
  parse(text: string, options: { version: '1.1' }): unknown;
};

const none = { network: [], users: [], rooms: [], web: [] };

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
    code: 'NotPermitted',
    message:
      "getProfile needs the permission users:read; to grant it, the module's entry says permissions: { users: [read] }",
  });
});

t.test('the line is YAML that says the same', async (t) => {
  const hosts = ['api.example.com', 'api.example.com:8443', '*.example.com', '*', '127.0.0.1:9000', '[::1]:9000'];
  for (const host of [...hosts, 'localhost:80', 'api.example.com:*', 'no', '10.0.0.5', '1e5', 'a: b', '"', 'xn--a']) {
    t.strictSame(parse(grantLine('network', host), { version: '1.1' }), { permissions: { network: [host] } }, host);
  }
});
