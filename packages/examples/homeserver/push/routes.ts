// Push rules over HTTP. Nothing is pushed: clients evaluate the rules themselves.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam, missingParam } from '../errors.js';
import { JsonObject, readBody } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import { KINDS, type Kind } from './predefined.js';
import type { NewRule } from './push-rules.js';

const Action = v.union([v.string(), v.pipe(JsonObject, v.looseObject({ set_tweak: v.string() }))]);
/** Actions of former times are to be ignored. */
const Actions = v.pipe(
  v.array(Action),
  v.transform((actions) => actions.filter((action) => action !== 'dont_notify' && action !== 'coalesce')),
);
const Condition = v.pipe(JsonObject, v.looseObject({ kind: v.string() }));

const PutRule = v.object({
  actions: Actions,
  conditions: v.optional(v.array(Condition)),
  pattern: v.optional(v.string()),
});

export function pushRoutes({ authenticator, pushRules }: Server): Hono<Env> {
  const { user } = authenticator;
  const app = new Hono<Env>();

  for (const path of ['/v3/pushrules', '/v3/pushrules/'] as const) {
    app.get(path, user, async (c) => c.json({ global: await pushRules.of(c.var.requester.userId) }));
  }
  for (const path of ['/v3/pushrules/global', '/v3/pushrules/global/'] as const) {
    app.get(path, user, async (c) => c.json(await pushRules.of(c.var.requester.userId)));
  }

  const path = '/v3/pushrules/:scope/:kind/:ruleId';
  app.get(path, user, async (c) => c.json(await pushRules.find(...ruleIn(c))));

  app.put(path, user, async (c) => {
    const [userId, kind, ruleId] = ruleIn(c);
    checkRuleId(kind, ruleId);
    const body = await readBody(c, PutRule);
    const { before, after } = c.req.query();
    await pushRules.put(userId, kind, ruleOf(kind, ruleId, body), { before, after });
    return c.json({});
  });

  app.delete(path, user, async (c) => {
    await pushRules.delete(...ruleIn(c));
    return c.json({});
  });

  app.get(`${path}/enabled`, user, async (c) => {
    const { enabled } = await pushRules.find(...ruleIn(c));
    return c.json({ enabled });
  });
  app.put(`${path}/enabled`, user, async (c) => {
    await pushRules.adjust(...ruleIn(c), await readBody(c, v.object({ enabled: v.boolean() })));
    return c.json({});
  });

  app.get(`${path}/actions`, user, async (c) => {
    const { actions } = await pushRules.find(...ruleIn(c));
    return c.json({ actions });
  });
  app.put(`${path}/actions`, user, async (c) => {
    await pushRules.adjust(...ruleIn(c), await readBody(c, v.object({ actions: Actions })));
    return c.json({});
  });

  return app;
}

function ruleIn(c: Context<Env>): [userId: string, kind: Kind, ruleId: string] {
  const { scope, kind, ruleId = '' } = c.req.param() as Record<string, string>;
  if (scope !== 'global') throw invalidParam(`There is no scope ${scope}`);
  const known = KINDS.find((each) => each === kind);
  if (!known) throw invalidParam(`There is no kind of rule ${kind}`);
  return [c.var.requester.userId, known, ruleId];
}

function checkRuleId(kind: Kind, ruleId: string): void {
  if (ruleId.startsWith('.')) throw invalidParam('Rule ids with a dot in front are the server’s own');
  if (/[\\/]/.test(ruleId)) throw invalidParam('Rule ids have no slashes');
  if (kind === 'room' && !ruleId.startsWith('!')) throw invalidParam('A room rule goes by the room’s id');
  if (kind === 'sender' && !ruleId.startsWith('@')) throw invalidParam('A sender rule goes by the user’s id');
}

function ruleOf(kind: Kind, rule_id: string, { actions, conditions, pattern }: v.InferOutput<typeof PutRule>): NewRule {
  if (kind === 'override' || kind === 'underride') return { rule_id, actions, conditions: conditions ?? [] };
  if (kind !== 'content') return { rule_id, actions };
  if (pattern === undefined) throw missingParam('pattern');
  return { rule_id, actions, pattern };
}
