import { createHash } from 'node:crypto';
import t from 'tap';
import { startModules } from './harness.js';

const listed = Buffer.from('a file that nobody should store');

const yaml = `
modules:
  - module: ./modules/signup-and-media/index.ts#SignupAndMedia
    id: signup-and-media
    config:
      signups:
        - { username: ^admin, action: deny }
        - { user_agent: ^python, ip: '^203\\.0\\.113\\.', action: shadow_ban }
        - { email: '@throwaway\\.example$', action: deny }
      media:
        max_bytes: 10000000
        sha256: [${createHash('sha256').update(listed).digest('hex').toUpperCase()}]
`;

const { spamChecker } = await startModules(t, yaml);

t.test('the first rule that matches decides about a sign-up', async (t) => {
  const signUp = (username: string | null, requests: [string | null, string][] = [], email?: string) =>
    spamChecker.checkRegistrationForSpam(email ? { medium: 'email', address: email } : null, username, requests, null);

  t.match(await signUp('Administrator'), { behaviour: 'deny', status: 429, module: 'signup-and-media' });
  t.match(await signUp('alice', [['Python-requests/2', '203.0.113.9']]), { behaviour: 'shadow_ban' });
  t.match(await signUp(null, [], 'x@throwaway.example'), { behaviour: 'deny' });

  const apart: [string | null, string][] = [
    ['python-requests/2', '192.0.2.1'],
    [null, '203.0.113.9'],
  ];
  t.match(await signUp('alice', apart), { behaviour: 'allow', failures: [] }, 'agent and address of two requests');
  t.match(await signUp(null, []), { behaviour: 'allow' });
});

t.test('files are looked at no further than it takes', async (t) => {
  let chunks = 0;
  const check = (bytes: Uint8Array, more: { size?: number; thumbnail?: boolean } = {}) => {
    chunks = 0;
    async function* open() {
      for (let at = 0; at < bytes.length; at += 65_536) {
        chunks++;
        yield bytes.subarray(at, at + 65_536);
      }
    }
    const thumbnail = { width: 32, height: 32, method: 'crop' as const, type: 'image/png' };
    const info = { fileId: 'f', urlCache: false, ...(more.thumbnail && { thumbnail }) };
    return spamChecker.checkMediaFileForSpam({ size: more.size ?? bytes.length, open }, info);
  };

  t.match(await check(Buffer.from('hello')), { allowed: true, failures: [] });
  t.match(await check(new Uint8Array(0)), { allowed: true, failures: [] });
  t.match(await check(listed), { allowed: false, status: 400, error: 'This file is not accepted' });
  t.match(await check(listed, { thumbnail: true }), { allowed: true });

  t.match(await check(new Uint8Array(1), { size: 10_000_001 }), { allowed: false, errcode: 'M_TOO_LARGE' });
  t.equal(chunks, 0, 'the size is known without reading');

  const program = new Uint8Array(9_000_000);
  program.set([0x4d, 0x5a]);
  t.match(await check(program), { allowed: false, error: 'Files of this kind are not accepted' });
  t.ok(chunks < 100, `${chunks} of 138 chunks were read`);
});
