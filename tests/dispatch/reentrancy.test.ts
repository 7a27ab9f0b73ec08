// An event that a module sends goes through every callback, its own included, as deep as the chain may be.

import type { Modules } from '@bulkhead/runtime';
import type { EventData, NewEvent } from '@bulkhead/sdk/contract';
import t, { type Test } from 'tap';
import { containments, startCells } from './cells.ts';

const noState = { get: () => undefined, list: () => [], entries: () => [] };

const event = (wanted: number): EventData => ({
  type: 'm.room.message',
  room_id: '!room:example.com',
  sender: '@alice:example.com',
  origin_server_ts: 1_700_000_000_000,
  content: { link: 0, wanted },
});

/** A homeserver that asks the modules about what modules send, as about everything else. */
async function start(t: Test, yaml: string, containment: 'process' | 'thread' = 'thread') {
  const checked: string[] = [];
  const send = async (data: NewEvent): Promise<{ event_id: string }> => {
    const event: EventData = { ...data, origin_server_ts: 1 };
    const { link } = data.content;
    const allowed = await modules.thirdPartyRules.checkEventAllowed(event, noState);
    checked.push(`allowed ${link} ${allowed.allowed}`);
    const spam = await modules.spamChecker.checkEventForSpam(event);
    checked.push(`spam ${link} ${spam.allowed || spam.error}`);
    if (!spam.allowed) throw Object.assign(new Error(spam.error), { errcode: spam.errcode });
    return { event_id: `$${link}` };
  };
  const modules: Modules = await startCells(t, yaml, { containment, homeserver: { createAndSendEvent: send } });
  return { modules, checked };
}

const entry = (id: string, config: string) => `
  - module: ./echo.ts#Echo
    id: ${id}
    permissions: { rooms: [write] }
    config: ${config}`;

for (const containment of containments) {
  t.test(`five levels deep, with containment: ${containment}`, async (t) => {
    const { modules, checked } = await start(t, `modules:${entry('echo', '{}')}`, containment);
    t.match(await modules.spamChecker.checkEventForSpam(event(5)), { allowed: true, failures: [] });
    t.strictSame(checked, [
      ...[1, 2, 3, 4, 5].map((link) => `allowed ${link} true`),
      ...[5, 4, 3, 2, 1].map((link) => `spam ${link} true`),
    ]);
    t.match(modules.status(), [{ calls: 11, failures: {} }], 'all in the module that sends them');
  });
}

t.test('beyond eight levels the API call fails, and the module is told why', async (t) => {
  const { modules, checked } = await start(t, `modules:${entry('echo', '{}')}`);
  t.match(await modules.spamChecker.checkEventForSpam(event(8)), { allowed: true });
  checked.length = 0;
  const outcome = await modules.spamChecker.checkEventForSpam(event(9));
  t.match(outcome, { allowed: false, error: 'HomeserverError M_FORBIDDEN' });
  t.match(
    checked.slice(8),
    ['spam 8 ReentrancyLimit', 'spam 7 HomeserverError M_FORBIDDEN'],
    'the ninth was never sent',
  );
  t.equal(checked.length, 16);
});

t.test('a chain through several modules is one chain', async (t) => {
  const yaml = `modules:${entry('even', '{ of: 2, turn: 0 }')}${entry('odd', '{ of: 2, turn: 1 }')}`;
  const { modules, checked } = await start(t, yaml);
  t.match(await modules.spamChecker.checkEventForSpam(event(8)), { allowed: true });
  t.equal(checked.length, 16);
  t.match(await modules.spamChecker.checkEventForSpam(event(9)), { allowed: false });
});

t.test('the limit is of the chain: another one begins anew', async (t) => {
  const { modules } = await start(t, `modules:${entry('echo', '{}')}`);
  for (let again = 0; again < 3; again++) {
    t.match(await modules.spamChecker.checkEventForSpam(event(8)), { allowed: true });
  }
});
