import type { EventData } from '@bulkhead/sdk';
import t from 'tap';
import { message, startModules, stateEvent, stateOf } from './harness.js';

const yaml = `
modules:
  - module: ./modules/freeze-room/index.ts#FreezeRoom
    id: freeze-room
`;

const admin = { sender: '@admin:example.com' };
const create = stateEvent('m.room.create', { room_version: '11' }, admin);
const levels = stateEvent('m.room.power_levels', { users: { '@admin:example.com': 100 }, users_default: 50 }, admin);
const freeze = stateEvent('org.example.room.frozen', { frozen: true }, admin);
const unfreeze = stateEvent('org.example.room.frozen', { frozen: false }, admin);
const member = (membership: string, state_key: string): EventData =>
  stateEvent('m.room.member', { membership }, { state_key });

const { thirdPartyRules } = await startModules(t, yaml);

t.test('who may freeze', async (t) => {
  const open = stateOf(create, levels);
  const check = thirdPartyRules.checkEventAllowed;

  t.match(await check(freeze, open), { allowed: true, failures: [] });
  t.match(await check({ ...freeze, sender: '@alice:example.com' }, open), {
    allowed: false,
    status: 403,
    error: 'Freezing a room takes power level 100',
  });
  t.match(await check({ ...freeze, content: { frozen: 'yes' } }, open), { allowed: false, errcode: 'M_BAD_JSON' });
  t.match(await check(message({ body: 'hello' }), open), { allowed: true });
  t.match(await check(freeze, stateOf(create)), { allowed: true }, 'the creator, where there are no power levels');
});

t.test('what is left in a frozen room', async (t) => {
  const frozen = stateOf(create, levels, freeze);
  const check = (event: EventData) => thirdPartyRules.checkEventAllowed(event, frozen);

  const refused = { allowed: false, error: 'This room is frozen' };
  t.match(await check(message({ body: 'hello' })), refused);
  t.match(await check(message({ body: 'hello' }, admin)), refused);
  t.match(await check(freeze), refused);
  t.match(await check(member('leave', '@bob:example.com')), refused, 'a kick is no leaving');
  t.match(await check(member('join', '@alice:example.com')), refused);
  t.match(await check({ ...unfreeze, state_key: 'other' }), refused);
  t.match(await check({ ...unfreeze, sender: '@alice:example.com' }), { allowed: false });

  t.match(await check(member('leave', '@alice:example.com')), { allowed: true, failures: [] });
  t.match(await check(unfreeze), { allowed: true, failures: [] });
});

t.test('creators stand above the levels from room version 12 on', async (t) => {
  const noLevels = stateEvent('m.room.power_levels', {});
  const twelve = { room_version: '12', additional_creators: ['@second:example.com'] };
  const room = stateOf(stateEvent('m.room.create', twelve, admin), noLevels);

  t.match(await thirdPartyRules.checkEventAllowed(freeze, room), { allowed: true });
  t.match(await thirdPartyRules.checkEventAllowed({ ...freeze, sender: '@second:example.com' }, room), {
    allowed: true,
  });
  t.match(await thirdPartyRules.checkEventAllowed(freeze, stateOf(create, noLevels)), { allowed: false });
});
