import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Client, type Json } from './client.ts';
import { refused } from './fake-modules.ts';
import { refuses, startServer } from './harness.ts';

const dataDir = t.testdir();
const server = await startServer(t, { dataDir, maxUploadSize: 1_000_000 });
const alice = await server.register('alice');
const nobody = new Client(server.url);

t.test('a file goes up and comes down', async (t) => {
  const mxc = await alice.upload('hello', 'text/plain; charset=utf-8', 'hé llo.txt');
  t.match(mxc, /^mxc:\/\/example\.com\/[A-Za-z]+$/);
  const response = await alice.download(mxc);
  t.equal(response.status, 200);
  t.equal(await response.text(), 'hello');
  t.match(Object.fromEntries(response.headers), {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': '5',
    'content-disposition': "inline; filename*=utf-8''h%C3%A9%20llo.txt",
    'x-content-type-options': 'nosniff',
    'content-security-policy': /sandbox/,
  });
});

t.test('both ways to download; only the new one asks who it is', async (t) => {
  const path = (await alice.upload('hello')).slice('mxc://'.length);
  t.equal(await (await nobody.fetch('GET', `/_matrix/media/v3/download/${path}`)).text(), 'hello');
  const named = await nobody.fetch('GET', `/_matrix/media/v3/download/${path}/other.txt`);
  t.match(named.headers.get('content-disposition'), /other\.txt/);
  const refusal = await nobody.fetch('GET', `/_matrix/client/v1/media/download/${path}`);
  t.equal(refusal.status, 401);
});

t.test('what a browser could run is not shown in place', async (t) => {
  for (const type of ['text/html', 'image/svg+xml', 'application/pdf']) {
    const response = await alice.download(await alice.upload('<script>alert(1)</script>', type));
    t.match(response.headers.get('content-disposition'), /^attachment/, type);
  }
});

t.test('files that are not there', async (t) => {
  for (const path of ['example.com/nothing', 'elsewhere.org/thing', 'example.com/..%2f..%2fdb']) {
    const response = await alice.download(`mxc://${path}`);
    t.equal(response.status, 404);
    t.match(await response.json(), { errcode: 'M_NOT_FOUND' });
  }
});

t.test('the limit holds, announced or not', async (t) => {
  t.same(await alice.get('/_matrix/client/v1/media/config'), { 'm.upload.size': 1_000_000 });
  t.same(await alice.get('/_matrix/media/v3/config'), { 'm.upload.size': 1_000_000 });
  await alice.upload(new Uint8Array(1_000_000), 'application/octet-stream');
  await refuses(t, alice.upload(new Uint8Array(1_000_001)), { status: 413, errcode: 'M_TOO_LARGE' });
  const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
  const request = new Request(new URL('/_matrix/media/v3/upload', server.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${alice.accessToken}` },
    body: endless,
    duplex: 'half',
  } as RequestInit);
  const outcome = await fetch(request).then(
    async (response) => ((await response.json()) as Json).errcode,
    () => 'connection closed',
  );
  t.ok(outcome === 'M_TOO_LARGE' || outcome === 'connection closed', String(outcome));
  t.same(await readdir(join(dataDir, 'media', 'incomplete')), []);
});

t.test('modules see a file once it is whole, and before anybody else', async (t) => {
  server.fake.forgetCalls();
  let seen = '';
  server.fake.answers = {
    async checkMediaFileForSpam(file) {
      t.equal(file.size, 11);
      for await (const chunk of await file.open()) seen += Buffer.from(chunk).toString();
      return refused({ status: 400, errcode: 'M_UNKNOWN', error: 'Bad content', extra: { why: 'spam' } });
    },
  };
  t.teardown(() => {
    server.fake.answers = {};
  });
  const files = (await readdir(join(dataDir, 'media'))).length;
  await refuses(t, alice.upload('eicar virus'), {
    status: 400,
    errcode: 'M_UNKNOWN',
    body: { error: 'Bad content', why: 'spam' },
  });
  t.equal(seen, 'eicar virus');
  t.match(server.fake.callsOf('checkMediaFileForSpam'), [[{ size: 11 }, { fileId: String, urlCache: false }]]);
  t.equal((await readdir(join(dataDir, 'media'))).length, files, 'nothing of it is kept');
});

t.test('an empty file, and one without a token', async (t) => {
  t.equal(await (await alice.download(await alice.upload(''))).text(), '');
  await refuses(t, nobody.upload('x'), { status: 401, errcode: 'M_MISSING_TOKEN' });
});
