// Keys for end-to-end encryption over HTTP.

import type { Requester } from '@bulkhead/sdk/contract';
import { Hono } from 'hono';
import * as v from 'valibot';
import { Auth } from '../accounts/interactive-auth.js';
import { invalidParam, MatrixError, missingParam } from '../errors.js';
import { groupBy } from '../group.js';
import { JsonObject, Name, objectOf, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import { isUserId } from '../ids.js';
import type { Content } from '../rooms/event.js';
import type { Server } from '../server.js';
import { parseSyncToken } from '../sync/token.js';
import { type CrossSigningKey, USAGES, type Usage } from './cross-signing.js';
import type { NamedKey } from './device-keys.js';

const UserId = v.pipe(v.string(), v.check(isUserId, 'expected user ids'));
const Signatures = objectOf(v.record(v.string(), objectOf(v.record(Name, Name))));

const DeviceKeysBody = objectOf(
  v.looseObject({
    user_id: v.string(),
    device_id: v.string(),
    algorithms: v.array(v.string()),
    keys: objectOf(v.record(v.string(), v.string())),
    signatures: Signatures,
  }),
);

const KeyMap = objectOf(v.record(v.pipe(Name, v.regex(/^[^:]+:.+$/, 'expected algorithm:key_id')), v.unknown()));

const Upload = v.object({
  device_keys: v.optional(DeviceKeysBody),
  one_time_keys: v.optional(KeyMap, {}),
  fallback_keys: v.optional(KeyMap, {}),
});

const Query = v.object({ device_keys: objectOf(v.record(UserId, v.array(v.string()))) });

const ClaimBody = v.object({ one_time_keys: objectOf(v.record(UserId, objectOf(v.record(Name, Name)))) });

const CrossSigningKeyBody = objectOf(
  v.looseObject({
    user_id: v.string(),
    usage: v.array(v.string()),
    keys: v.pipe(
      JsonObject,
      v.record(v.string(), v.string()),
      v.check((keys) => {
        const [[id, key] = [], ...more] = Object.entries(keys);
        return more.length === 0 && key !== undefined && id === `ed25519:${key}`;
      }, 'expected one key, ed25519, under its own name'),
    ),
    signatures: v.optional(Signatures),
  }),
);

const CrossSigningUpload = v.object({
  master_key: v.optional(CrossSigningKeyBody),
  self_signing_key: v.optional(CrossSigningKeyBody),
  user_signing_key: v.optional(CrossSigningKeyBody),
  auth: Auth,
});

const SignatureUpload = v.record(UserId, objectOf(v.record(Name, objectOf(v.looseObject({ signatures: Signatures })))));

export function keyRoutes(server: Server): Hono<Env> {
  const { authenticator, deviceKeys, crossSigning, deviceLists, events, interactiveAuth } = server;
  const { user } = authenticator;
  const app = new Hono<Env>();

  app.post('/v3/keys/upload', user, async (c) => {
    const body = await readBody(c, Upload);
    const { requester } = c.var;
    checkOwn(requester, body.device_keys);
    const counts = await deviceKeys.upload(requester, {
      deviceKeys: body.device_keys,
      oneTimeKeys: namedKeys(body.one_time_keys),
      fallbackKeys: onePerAlgorithm(namedKeys(body.fallback_keys)),
    });
    return c.json({ one_time_key_counts: counts });
  });

  app.post('/v3/keys/query', user, async (c) => {
    const { device_keys: asked } = await readBody(c, Query);
    return c.json(await query(server, c.var.requester.userId, new Map(Object.entries(asked))));
  });

  app.post('/v3/keys/claim', user, async (c) => {
    const { one_time_keys: asked } = await readBody(c, ClaimBody);
    const claims = Object.entries(asked).flatMap(([userId, devices]) =>
      Object.entries(devices).map(([deviceId, algorithm]) => ({ userId, deviceId, algorithm })),
    );
    const given: Record<string, Record<string, Record<string, unknown>>> = {};
    for (const { userId, deviceId, algorithm, keyId, key } of await deviceKeys.claim(claims)) {
      given[userId] = { ...given[userId], [deviceId]: { [`${algorithm}:${keyId}`]: key } };
    }
    return c.json({ one_time_keys: given, failures: {} });
  });

  app.get('/v3/keys/changes', user, async (c) => {
    const { from, to } = c.req.query();
    if (from === undefined) throw missingParam('from');
    if (to === undefined) throw missingParam('to');
    const { userId } = c.var.requester;
    const memberships = await events.membershipsOf(userId);
    return c.json(await deviceLists.between(userId, parseSyncToken(from), parseSyncToken(to), memberships));
  });

  app.post('/v3/keys/device_signing/upload', user, async (c) => {
    const body = await readBody(c, CrossSigningUpload);
    const { requester } = c.var;
    const fresh = Object.fromEntries(
      USAGES.flatMap((usage) => (body[`${usage}_key`] ? [[usage, body[`${usage}_key`] as CrossSigningKey]] : [])),
    ) as Partial<Record<Usage, CrossSigningKey>>;
    if (await crossSigning.replaces(requester.userId, fresh)) {
      await interactiveAuth.check(requester, 'replace cross-signing keys', body.auth);
    }
    await crossSigning.upload(requester.userId, fresh);
    return c.json({});
  });

  app.post('/v3/keys/signatures/upload', user, async (c) => {
    const signed = await readBody(c, SignatureUpload);
    const failures: Record<string, Record<string, Content>> = {};
    for (const { userId, keyId, error } of await crossSigning.sign(c.var.requester.userId, signed)) {
      if (!(error instanceof MatrixError)) throw error;
      failures[userId] = { ...failures[userId], [keyId]: { errcode: error.errcode, error: error.message } };
    }
    return c.json({ failures });
  });

  return app;
}

/** The keys of users' devices and their cross-signing keys, with the signatures that the viewer may see. */
async function query(
  { deviceKeys, crossSigning }: Server,
  viewer: string,
  asked: ReadonlyMap<string, readonly string[]>,
): Promise<Content> {
  const userIds = [...asked.keys()];
  const added = groupBy(await crossSigning.signaturesOn(userIds, viewer), ({ userId, keyId }) => `${userId}\0${keyId}`);
  const signed = (userId: string, keyId: string, key: Content): Content => {
    const signatures = structuredClone((key.signatures ?? {}) as Record<string, Record<string, string>>);
    for (const { signer, signerKeyId, signature } of added.get(`${userId}\0${keyId}`) ?? []) {
      signatures[signer] = { ...signatures[signer], [signerKeyId]: signature };
    }
    return { ...key, signatures };
  };

  const devices: Record<string, Record<string, Content>> = {};
  for (const { userId, deviceId, displayName, keys } of await deviceKeys.of(userIds)) {
    const wanted = asked.get(userId) ?? [];
    if (wanted.length > 0 && !wanted.includes(deviceId)) continue;
    const unsigned = displayName === null ? {} : { device_display_name: displayName };
    devices[userId] = { ...devices[userId], [deviceId]: { ...signed(userId, deviceId, keys), unsigned } };
  }

  const result = { master: {}, self_signing: {}, user_signing: {} } as Record<Usage, Record<string, Content>>;
  for (const [userId, keys] of await crossSigning.of(userIds)) {
    for (const usage of USAGES) {
      const key = keys[usage];
      // Whom a user vouches for is nobody else's business.
      if (!key || (usage === 'user_signing' && userId !== viewer)) continue;
      result[usage][userId] = signed(userId, Object.values(key.keys)[0] ?? '', key);
    }
  }
  return {
    device_keys: devices,
    master_keys: result.master,
    self_signing_keys: result.self_signing,
    user_signing_keys: result.user_signing,
    failures: {},
  };
}

function checkOwn({ userId, deviceId }: Requester, keys: v.InferOutput<typeof DeviceKeysBody> | undefined): void {
  if (!keys) return;
  if (keys.user_id !== userId || keys.device_id !== deviceId) throw invalidParam('The keys are for another device');
}

const namedKeys = (map: Content): readonly NamedKey[] =>
  Object.entries(map).map(([name, key]) => {
    const colon = name.indexOf(':');
    return { algorithm: name.slice(0, colon), keyId: name.slice(colon + 1), key };
  });

function onePerAlgorithm(keys: readonly NamedKey[]): readonly NamedKey[] {
  if (new Set(keys.map(({ algorithm }) => algorithm)).size < keys.length) {
    throw invalidParam('There is one fallback key for each algorithm');
  }
  return keys;
}
