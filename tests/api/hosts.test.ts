// Grants against URLs and addresses, without a connection.

import t from 'tap';
import { createHostGrants, isPublicAddress, parseHostGrant } from '../../packages/runtime/src/api/hosts.ts';

t.test('grants that can be read, and grants that cannot', async (t) => {
  t.strictSame(parseHostGrant('api.example.com'), { host: 'api.example.com', port: undefined });
  t.strictSame(parseHostGrant('API.Example.com:8443'), { host: 'api.example.com', port: 8443 });
  t.strictSame(parseHostGrant('bücher.example:*'), { host: 'xn--bcher-kva.example', port: 'any' });
  t.strictSame(parseHostGrant('*.example.com'), { host: '*.example.com', port: undefined });
  t.strictSame(parseHostGrant('*:8443'), { host: '*', port: 8443 });
  t.strictSame(parseHostGrant('[0:0::1]:9000'), { host: '[::1]', port: 9000 });
  t.strictSame(parseHostGrant('127.1:9000'), { host: '127.0.0.1', port: 9000 });
  const wrong = [
    '',
    ':80',
    'a:0',
    'a:65536',
    'a:b',
    'https://a',
    'a/b',
    'u@a',
    '::1',
    '[::1',
    'a b',
    '*a',
    'a.*',
    '*.*.a',
  ];
  for (const text of [...wrong, '*.10.0.0.1', '*.', '[::g]', 'a?b', 'a#b', 'a\\b', 'a%2eb']) {
    t.equal(parseHostGrant(text), undefined, JSON.stringify(text));
  }
  t.throws(() => createHostGrants(['https://a']), { message: /https:\/\/a/ });
});

t.test('a grant covers its host and port, and no other', async (t) => {
  const covers = (grant: string, url: string) => createHostGrants([grant]).allows(new URL(url));
  const yes = [
    ['api.example.com', 'https://api.example.com/a?b'],
    ['api.example.com', 'http://API.example.com:80/'],
    ['api.example.com:8443', 'https://api.example.com:8443/'],
    ['api.example.com:443', 'https://api.example.com/'],
    ['api.example.com:*', 'https://api.example.com:1/'],
    ['*.example.com', 'https://a.b.example.com/'],
    ['*', 'https://anything.example/'],
    ['127.0.0.1:9000', 'http://0x7f.1:9000/'],
    ['[::1]:9000', 'http://[0::1]:9000/'],
  ];
  for (const [grant = '', url = ''] of yes) t.equal(covers(grant, url), true, `${grant} covers ${url}`);
  const no = [
    ['api.example.com', 'https://api.example.com:8443/'],
    ['api.example.com', 'http://api.example.com:443/'],
    ['api.example.com', 'https://api.example.com.evil.example/'],
    ['api.example.com', 'https://evil-api.example.com/'],
    ['api.example.com', 'https://api.example.com@evil.example/'],
    ['api.example.com:443', 'http://api.example.com/'],
    ['api.example.com:8443', 'https://api.example.com/'],
    ['*.example.com', 'https://example.com/'],
    ['*.example.com', 'https://evilexample.com/'],
    ['127.0.0.1:9000', 'http://127.0.0.1/'],
    ['127.0.0.1:9000', 'http://localhost:9000/'],
    ['127.0.0.1:9000', 'http://[::ffff:127.0.0.1]:9000/'],
  ];
  for (const [grant = '', url = ''] of no) t.equal(covers(grant, url), false, `${grant} does not cover ${url}`);
});

t.test('addresses of the open internet, and all others', async (t) => {
  for (const address of ['1.1.1.1', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1']) {
    t.equal(isPublicAddress(address), true, address);
  }
  const closed = ['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'];
  const closed4 = [
    '172.31.255.255',
    '192.0.0.8',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '239.1.1.1',
    '255.255.255.255',
  ];
  const closed6 = [
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:1.1.1.1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
  ];
  const more6 = [
    'fc00::1',
    'fd12::1',
    'fe80::1',
    'fe80::1%lo',
    'ff02::1',
    '2002:7f00:1::',
    '2001:0:1::',
    '2001:db8::1',
    '100::1',
  ];
  for (const address of [...closed, ...closed4, ...closed6, ...more6, '2606::1%eth0', 'name', '']) {
    t.equal(isPublicAddress(address), false, address);
  }
});

t.test('an address that is not public is reached only if it is named itself, with its port', async (t) => {
  const reaches = (grants: string[], url: string, address: string) =>
    createHostGrants(grants).allowsAddress(new URL(url), address);
  t.equal(reaches(['api.test'], 'http://api.test/', '1.1.1.1'), true);
  t.equal(reaches(['api.test'], 'http://api.test/', '10.0.0.5'), false);
  t.equal(reaches(['*', '*.test'], 'http://api.test/', '10.0.0.5'), false);
  t.equal(reaches(['api.test', '10.0.0.5'], 'http://api.test/', '10.0.0.5'), true);
  t.equal(reaches(['api.test:*', '10.0.0.5:80'], 'http://api.test:81/', '10.0.0.5'), false);
  t.equal(reaches(['api.test', 'fd00::5', '[fd00::5]'].slice(2), 'http://api.test/', 'fd00:0::5'), true);
  t.equal(reaches(['localhost:9000'], 'http://localhost:9000/', '127.0.0.1'), true);
  t.equal(reaches(['localhost:9000'], 'http://localhost:9000/', '::1'), true);
  t.equal(reaches(['localhost:9000'], 'http://localhost:9000/', '10.0.0.5'), false);
  t.equal(reaches(['localhost:9000', 'api.test:9000'], 'http://api.test:9000/', '127.0.0.1'), false);
  t.equal(reaches(['*:*'], 'http://localhost:9000/', '127.0.0.1'), false);
});
