import t from 'tap';
import { problemsOf, startModules } from './harness.js';

const yaml = `
modules:
  - module: ./modules/domain-invites/index.ts#DomainInvites
    id: domain-invites
    permissions: { users: [read] }
    config:
      invites:
        Example.com: [example.com, partner.org]
        partner.org: ['*']
`;
const restricted = `${yaml}      other_servers: allow\n      alias_pattern: team-[a-z]+\n      publish_rooms: admins\n`;

const homeserver = {
  getUserInfo: (userId: string) => ({
    userId,
    isAdmin: userId === '@admin:example.com',
    isGuest: false,
    isDeactivated: false,
    isShadowBanned: false,
    creationTs: 0,
  }),
};

const plain = await startModules(t, yaml);
const strict = await startModules(t, restricted, homeserver);

t.test('invites go where the mapping says', async (t) => {
  const { spamChecker } = plain;
  const invite = (inviter: string, invitee: string) => spamChecker.userMayInvite(inviter, invitee, '!room:example.com');

  t.match(await invite('@a:example.com', '@b:example.com'), { allowed: true, failures: [] });
  t.match(await invite('@a:EXAMPLE.com', '@b:Partner.org'), { allowed: true });
  t.match(await invite('@a:partner.org', '@b:anywhere.net'), { allowed: true });
  t.match(await invite('@a:example.com', '@b:evil.org'), {
    allowed: false,
    status: 403,
    errcode: 'M_FORBIDDEN',
    error: 'Users of example.com may not invite users of evil.org',
  });
  t.match(await invite('@a:other.net', '@b:example.com'), { allowed: false });
});

t.test('other servers may be allowed', async (t) => {
  const { spamChecker } = strict;
  t.match(await spamChecker.userMayInvite('@a:other.net', '@b:example.com', '!room:example.com'), { allowed: true });
  t.match(await spamChecker.userMayInvite('@a:example.com', '@b:evil.org', '!room:example.com'), { allowed: false });
});

t.test('names and the directory can be kept to admins', async (t) => {
  const { spamChecker } = strict;

  t.match(await spamChecker.userMayCreateRoomAlias('@a:example.com', '#team-red:example.com'), { allowed: true });
  t.match(await spamChecker.userMayCreateRoomAlias('@a:example.com', '#my-team-red:example.com'), { allowed: false });
  t.match(await spamChecker.userMayCreateRoomAlias('@admin:example.com', '#lobby:example.com'), { allowed: true });
  t.match(await spamChecker.userMayPublishRoom('@a:example.com', '!room:example.com'), { allowed: false });
  t.match(await spamChecker.userMayPublishRoom('@admin:example.com', '!room:example.com'), { allowed: true });
});

t.test('what is not restricted is not asked', async (t) => {
  t.equal(plain.has('userMayInvite'), true);
  t.equal(plain.has('userMayCreateRoomAlias'), false);
  t.equal(plain.has('userMayPublishRoom'), false);
});

t.test('it needs to know who is an admin where something is kept to admins', async (t) => {
  const without = (text: string): string => text.replace('    permissions: { users: [read] }\n', '');
  t.match(await problemsOf(t, without(restricted)), [
    { code: 'NotGranted', place: { line: 3 }, hint: /add this line: permissions: \{ users: \[read\] \}/ },
  ]);
  t.same(await problemsOf(t, without(yaml)), []);
});
