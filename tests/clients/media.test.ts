// Files, by way of the library's upload and of the address that it makes of an mxc.

import t from 'tap';
import { eventOf, refusalOf, roomWith, sdk, signUp, startExample } from './harness.ts';

t.test('media', async (t) => {
  const { url } = await startExample(t);
  const [alice, bob] = [await signUp(t, url, 'alice'), await signUp(t, url, 'bob')];

  await t.test('a picture that is sent, and looked at by the other', async (t) => {
    const bytes = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64',
    );
    const config = await alice.getMediaConfig();
    t.ok((config['m.upload.size'] ?? 0) > bytes.length);
    const { content_uri } = await alice.uploadContent(bytes as never, { name: 'dot.png', type: 'image/png' });
    t.match(content_uri, /^mxc:\/\/example\.com\//);
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendImageMessage(roomId, content_uri, { mimetype: 'image/png' }, 'dot.png');
    const mxc = (await eventOf(bob, roomId, event_id)).getContent<{ url: string }>().url;

    const address = bob.mxcUrlToHttp(mxc, undefined, undefined, undefined, undefined, true, true);
    const response = await fetch(address ?? '', { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    t.equal(response.status, 200);
    t.equal(response.headers.get('content-type'), 'image/png');
    t.same(Buffer.from(await response.arrayBuffer()), bytes);
    t.equal((await fetch(address ?? '')).status, 401, 'not for strangers');
  });

  await t.test('an avatar', async (t) => {
    const { content_uri } = await bob.uploadContent('not really one', { type: 'image/png' });
    await bob.setAvatarUrl(content_uri);
    t.match(await alice.getProfileInfo(bob.getUserId() ?? ''), { avatar_url: content_uri });
  });

  await t.test('a program, which a module refuses', async (t) => {
    const program = Buffer.from([0x4d, 0x5a, 0x90, 0]);
    t.match(await refusalOf(alice.uploadContent(program as never)), {
      status: 400,
      errcode: 'M_UNKNOWN',
      data: { error: 'Files of this kind are not accepted' },
    });
    t.ok(sdk.getHttpUriForMxc(url, 'mxc://example.com/none').startsWith(`${url}/_matrix/`));
  });
});
