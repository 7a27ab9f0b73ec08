// What an embedder passes is checked against the table before anybody is asked; an error says which argument, and where in it.

import { type CallbackName, callbackNames, callbacks, type Row } from '@bulkhead/sdk/contract';
import t from 'tap';
import { dispatcherOf, FakeModule } from '../dispatch/fakes.ts';

const alice = '@alice:example.org';
const room = '!room:example.org';

const event = {
  type: 'm.room.message',
  room_id: room,
  sender: alice,
  origin_server_ts: 1_700_000_000_000,
  content: { body: 'hello' },
};
const state = { get: () => undefined, list: () => [], entries: () => [] };
const profile = { user_id: alice, display_name: null, avatar_url: null };
const threepid = { medium: 'email', address: 'a@example.org' };
const file = { size: 3, open: () => [] };
const fileInfo = { fileId: 'f', urlCache: false };
const thumbnail = { width: 1, height: 1, method: 'crop', type: 'image/png' };
const requester = { userId: alice, isGuest: false, shadowBanned: false, authenticatedEntity: alice };
const presence = {
  user_id: alice,
  state: 'online',
  last_active_ts: 1,
  last_federation_update_ts: 2,
  last_user_sync_ts: 3,
  currently_active: true,
};

const right: { readonly [K in CallbackName]: readonly (readonly unknown[])[] } = {
  checkEventForSpam: [
    [event],
    [{ ...event, state_key: '', event_id: '$e', unsigned: {}, redacts: '$x', auth_events: ['$a'], depth: 5 }],
    [{ ...event, room_id: '!roomidofversion12' }],
  ],
  userMayInvite: [[alice, '@bob:[::1]:8448', room]],
  userMayCreateRoom: [[alice, {}]],
  userMayCreateRoomAlias: [[alice, '#room:example.org']],
  userMayPublishRoom: [[alice, room]],
  checkUsernameForSpam: [[{ ...profile, display_name: 'Alice', avatar_url: 'mxc://x/y' }, alice]],
  checkRegistrationForSpam: [
    [null, null, [], null],
    [
      { ...threepid, validated_at: 5 },
      'bob',
      [
        ['agent', '::1'],
        [null, '127.0.0.1'],
      ],
      'oidc',
    ],
  ],
  checkMediaFileForSpam: [
    [file, fileInfo],
    [file, { ...fileInfo, serverName: 'example.org:8448', thumbnail }],
  ],
  isUserExpired: [[alice]],
  onUserRegistration: [[alice]],
  checkEventAllowed: [[event, state]],
  onCreateRoom: [[{ ...requester, deviceId: 'D', appserviceId: 'as' }, {}, true]],
  getUsersForStates: [[[]], [[presence, { ...presence, status_msg: null }, { ...presence, state: 'busy' }]]],
  getInterestedUsers: [[alice]],
};

const notIds = [undefined, 5, '', 'alice', 'example.org', 'x'.repeat(256)];
const notUserIds = [...notIds, '@alice', '@alice:', '#alice:example.org', `@${'x'.repeat(255)}:e`, '@a:b\0'];
const notObjects = [undefined, null, 'text', [], new Map(), new Set(), new Date()];
const notTimestamps = [undefined, '5', 1.5, Number.NaN, 2 ** 53];

/** Each way to spoil a value, with the place that the error names. */
type Spoilt = readonly [path: string, args: readonly unknown[]];

const fields = (
  path: string,
  whole: object,
  wrong: Readonly<Record<string, readonly unknown[]>>,
  toArgs: (value: object) => readonly unknown[],
): readonly Spoilt[] =>
  Object.entries(wrong).flatMap(([key, values]) =>
    values.map((value): Spoilt => [`${path}.${key}`, toArgs({ ...whole, [key]: value })]),
  );

const each = (path: string, values: readonly unknown[], toArgs: (value: unknown) => readonly unknown[]) =>
  values.map((value): Spoilt => [path, toArgs(value)]);

const wrongEvent = (...more: readonly unknown[]) => [
  ...each('event', [undefined, null, 5, 'text'], (value) => [value, ...more]),
  ...fields(
    'event',
    event,
    {
      type: [undefined, 5, 'x'.repeat(256)],
      room_id: [...notIds, alice],
      sender: notUserIds,
      content: notObjects,
      origin_server_ts: notTimestamps,
      state_key: [5, null, 'x'.repeat(256)],
      event_id: [5, 'no-dollar'],
      unsigned: ['text', []],
      redacts: [5, 'no-dollar'],
    },
    (value) => [value, ...more],
  ),
];

const wrong: { readonly [K in CallbackName]: readonly Spoilt[] } = {
  checkEventForSpam: wrongEvent(),
  userMayInvite: [
    ...each('inviter', notUserIds, (value) => [value, alice, room]),
    ...each('invitee', notUserIds, (value) => [alice, value, room]),
    ...each('roomId', [...notIds, alice], (value) => [alice, alice, value]),
  ],
  userMayCreateRoom: [
    ...each('userId', notUserIds, (value) => [value, {}]),
    ...each('roomConfig', notObjects, (value) => [alice, value]),
  ],
  userMayCreateRoomAlias: [
    ...each('userId', notUserIds, (value) => [value, '#room:example.org']),
    ...each('roomAlias', [...notIds, '#room', alice], (value) => [alice, value]),
  ],
  userMayPublishRoom: [
    ...each('userId', notUserIds, (value) => [value, room]),
    ...each('roomId', [...notIds, alice], (value) => [alice, value]),
  ],
  checkUsernameForSpam: [
    ...fields(
      'profile',
      profile,
      { user_id: notUserIds, display_name: [undefined, 5], avatar_url: [undefined, 5], email: ['a@b'] },
      (value) => [value, alice],
    ),
    ...each('requesterId', notUserIds, (value) => [profile, value]),
  ],
  checkRegistrationForSpam: [
    ...fields(
      'emailThreepid',
      threepid,
      { medium: [undefined, 'msisdn'], address: [undefined, 5], validated_at: ['5', -1, 1.5], token: ['x'] },
      (value) => [value, 'bob', [], null],
    ),
    ...each('username', [5, {}], (value) => [null, value, [], null]),
    ...each('requestInfo', [undefined, {}, 'text'], (value) => [null, 'bob', value, null]),
    ['requestInfo.0.1', [null, 'bob', [['agent', null]], null]],
    ['requestInfo.1', [null, 'bob', [['agent', 'ip'], 'text'], null]],
    ...each('authProviderId', [5], (value) => [null, 'bob', [], value]),
  ],
  checkMediaFileForSpam: [
    ...fields('file', file, { size: [undefined, -1, 1.5, '3'], open: [undefined, 'x'] }, (value) => [value, fileInfo]),
    ...fields(
      'fileInfo',
      fileInfo,
      { fileId: [undefined, 5], urlCache: [undefined, 'yes'], serverName: [5, 'no name'], path: ['/etc'] },
      (value) => [file, value],
    ),
    ...fields(
      'fileInfo.thumbnail',
      thumbnail,
      { width: [0, 1.5, '1'], height: [undefined, -1], method: ['stretch'], type: [5] },
      (value) => [file, { ...fileInfo, thumbnail: value }],
    ),
  ],
  isUserExpired: each('userId', notUserIds, (value) => [value]),
  onUserRegistration: each('userId', notUserIds, (value) => [value]),
  checkEventAllowed: [
    ...wrongEvent(state),
    ...each('stateEvents', [undefined, 5], (value) => [event, value]),
    ...fields('stateEvents', state, { get: [undefined], list: [5], entries: [null] }, (value) => [event, value]),
  ],
  onCreateRoom: [
    ...fields(
      'requester',
      requester,
      {
        userId: notUserIds,
        isGuest: [undefined, 1],
        shadowBanned: [undefined, 'no'],
        authenticatedEntity: [undefined],
        deviceId: [5],
        // A module must never see what it could act with as its user.
        accessToken: ['secret'],
      },
      (value) => [value, {}, false],
    ),
    ...each('requestContent', notObjects, (value) => [requester, value, false]),
    ...each('isRequesterAdmin', [undefined, 1, 'no'], (value) => [requester, {}, value]),
  ],
  getUsersForStates: [
    ...each('stateUpdates', [undefined, {}, 'text'], (value) => [value]),
    ...fields(
      'stateUpdates.1',
      presence,
      {
        user_id: notUserIds,
        state: [undefined, 'away'],
        last_active_ts: [...notTimestamps, -1],
        last_federation_update_ts: notTimestamps,
        last_user_sync_ts: notTimestamps,
        status_msg: [5],
        currently_active: [undefined, 1],
        mood: ['good'],
      },
      (value) => [[presence, value]],
    ),
  ],
  getInterestedUsers: each('userId', notUserIds, (value) => [value]),
};

for (const callback of callbackNames) {
  t.test(callback, async (t) => {
    const module = new FakeModule('m1');
    const dispatcher = dispatcherOf([module]);
    for (const args of right[callback]) {
      module.body = undefined;
      void dispatcher.dispatch(callback, args);
      t.ok(module.body, 'what is right is asked');
    }
    const { asked } = module;
    for (const [path, args] of wrong[callback]) {
      t.throws(
        () => dispatcher.dispatch(callback, args),
        { code: 'InvalidArgument', message: new RegExp(`^${callback}: ${path.replaceAll('.', '\\.')}: .`) },
        `${path} of ${String(args.at(-1))}`,
      );
    }
    const row: Row = callbacks[callback];
    const spoilt = new Set(wrong[callback].map(([path]) => path.split('.')[0]));
    t.strictSame(
      [...spoilt],
      row.args.map(({ name }) => name),
      'each argument was spoilt',
    );
    t.equal(module.asked, asked, 'and nobody was asked');
  });
}

t.test('everything in an event and in a room crosses, whatever its name', async (t) => {
  const module = new FakeModule('m1');
  const content = { constructor: 1, prototype: 2, toString: 3, body: [{ constructor: 4 }] };
  void dispatcherOf([module]).dispatch('checkEventForSpam', [{ ...event, content, 'org.example.field': 5 }]);
  t.match(module.body?.args[0], { 'org.example.field': 5 });
  t.match(module.body?.args[0], { content: { ...content } });
  t.strictSame(Object.keys(contentIn(module.body)), Object.keys(content));
  void dispatcherOf([module]).dispatch('userMayCreateRoom', [alice, content]);
  t.strictSame(module.body?.args[1], content);
});

const contentIn = (body: FakeModule['body']): object => (body?.args[0] as typeof event | undefined)?.content ?? {};
