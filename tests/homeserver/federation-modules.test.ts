// Real modules are asked about what another server sends.

import { join } from 'node:path';
import { createModuleRuntime, type Logger } from '@bulkhead/runtime';
import type { Homeserver as ModuleHost } from '@bulkhead/sdk/contract';
import t from 'tap';
import { bodies } from './client.ts';
import { is, says, startPair, waitFor } from './federation-harness.ts';
import { refuses } from './harness.ts';

const MODULE = `
export class Guard {
  constructor(config, api) {
    api.registerThirdPartyRulesCallbacks({
      checkEventAllowed: async (event, state, { origin }) => {
        if (event.content.body === 'refuse') return false;
        if (event.content.body !== 'replace') return true;
        return [true, { ...event.getDict(), content: { body: 'replaced, from ' + origin } }];
      },
    });
    api.registerSpamCheckerCallbacks({
      checkEventForSpam: async (event, { origin }) => (event.content.body === 'spam' && origin === 'federation' ? 'no spam' : false),
      userMayInvite: async (inviter) => inviter.startsWith('@alice:'),
    });
  }
}
`;

t.test('a module replaces what is made here, and only judges what comes from elsewhere', async (t) => {
  const yaml = 'modules:\n  - { module: ./guard.js#Guard, id: guard }\n';
  const folder = t.testdir({ 'guard.js': MODULE, 'homeserver.yaml': yaml });
  const configFile = join(folder, 'homeserver.yaml');
  const storage = join(folder, 'storage');
  const start = (homeserver: ModuleHost, logger: Logger) =>
    createModuleRuntime({ configFile, homeserver, logger, storage, spares: false });
  const [a, b] = await startPair(t, start, folder);
  const [alice, bob] = [await a.register('alice'), await b.register('bob')];
  const room = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'meet' });
  await bob.join(`#meet:${a.name}`);
  await waitFor(alice, room, is(bob.userId, 'join'));
  for (const body of ['refuse', 'replace', 'spam', 'end']) await bob.say(room, body);
  t.same(bodies(await waitFor(alice, room, says('end'))), ['replace', 'end']);
  t.equal((await alice.search({ search_term: 'spam' })).count, 0, 'nor is it found');
  t.equal((await alice.search({ search_term: 'end' })).count, 1);
  t.ok(
    a.warnings.some((warning) => /replacement of an event from another server was dropped/.test(warning)),
    'the admin is told',
  );
  await alice.say(room, 'replace');
  await waitFor(bob, room, says('replaced, from client'));

  const own = await bob.createRoom({ preset: 'private_chat' });
  await refuses(t, bob.invite(own, alice.userId), { status: 403, errcode: 'M_FORBIDDEN' });
  t.same(Object.keys((await alice.sync()).rooms.invite), []);
});
