// A user's push rules: the predefined ones, with what the user changed in them and added. Only the changes are stored, so
// that a new predefined rule reaches everybody.

import { eq } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { Memo } from '../db/memo.js';
import { nextPosition, pushRules } from '../db/schema.js';
import { notFound, unknownRequest } from '../errors.js';
import type { Changes } from '../sync/changes.js';
import type { Notifier } from '../sync/notifier.js';
import type { Part, Piece, View } from '../sync/part.js';
import { type Action, KINDS, type Kind, MASTER, predefinedRules, type Rule, type Ruleset } from './predefined.js';

export interface NewRule {
  readonly rule_id: string;
  readonly actions: readonly Action[];
  readonly conditions?: NonNullable<Rule['conditions']>;
  readonly pattern?: string;
}

/** Next to which of the user's own rules a rule is put. */
export interface Place {
  readonly before?: string | undefined;
  readonly after?: string | undefined;
}

interface UserChanges {
  /** The user's own rules, the most important first. */
  readonly own: Readonly<Partial<Record<Kind, readonly Rule[]>>>;
  /** What is different in predefined rules, by their ids. */
  readonly predefined: Readonly<Record<string, { readonly enabled?: boolean; readonly actions?: readonly Action[] }>>;
}

const NO_CHANGES: UserChanges = { own: {}, predefined: {} };
const MAX_OWN_RULES = 1000;

export class PushRules implements Part {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #notifier: Notifier;
  readonly #kept = new Memo<Awaited<ReturnType<typeof read>>>();

  constructor(db: Database, changes: Changes, notifier: Notifier) {
    this.#db = db;
    this.#changes = changes;
    this.#notifier = notifier;
  }

  async of(userId: string): Promise<Ruleset> {
    return (await this.read(userId)).rules;
  }

  /** With the position of the last change, by which one can tell whether they are still the same. */
  async read(userId: string): Promise<{ readonly rules: Ruleset; readonly position: number }> {
    const { changes, position } = await this.#read(userId);
    return { rules: ruleset(userId, changes), position };
  }

  /** @throws MatrixError 404 `M_NOT_FOUND` */
  async find(userId: string, kind: Kind, ruleId: string): Promise<Rule> {
    const found = (await this.of(userId))[kind].find(({ rule_id }) => rule_id === ruleId);
    if (!found) throw noSuchRule();
    return found;
  }

  /** A rule that exists keeps its place, unless another is named, and stays enabled or disabled. */
  put(userId: string, kind: Kind, fresh: NewRule, place: Place): Promise<void> {
    return this.#change(userId, (changes) => {
      const rules = changes.own[kind] ?? [];
      const index = rules.findIndex(({ rule_id }) => rule_id === fresh.rule_id);
      const rule: Rule = { ...fresh, default: false, enabled: rules[index]?.enabled ?? true };
      const others = rules.filter((_, at) => at !== index);
      if (others.length >= MAX_OWN_RULES) throw unknownRequest('There are too many push rules');
      const at = placeAmong(others, place) ?? Math.max(index, 0);
      return { ...changes, own: { ...changes.own, [kind]: others.toSpliced(at, 0, rule) } };
    });
  }

  delete(userId: string, kind: Kind, ruleId: string): Promise<void> {
    return this.#change(userId, (changes) => {
      const rules = changes.own[kind] ?? [];
      const left = rules.filter(({ rule_id }) => rule_id !== ruleId);
      if (left.length === rules.length) throw noSuchRule();
      return { ...changes, own: { ...changes.own, [kind]: left } };
    });
  }

  /** Enables or disables a rule, or gives it other actions; also a predefined one. */
  adjust(
    userId: string,
    kind: Kind,
    ruleId: string,
    change: { readonly enabled: boolean } | { readonly actions: readonly Action[] },
  ): Promise<void> {
    return this.#change(userId, (changes) => {
      if (predefinedRules(userId)[kind].some(({ rule_id }) => rule_id === ruleId)) {
        const before = changes.predefined[ruleId];
        return { ...changes, predefined: { ...changes.predefined, [ruleId]: { ...before, ...change } } };
      }
      const rules = changes.own[kind] ?? [];
      if (!rules.some(({ rule_id }) => rule_id === ruleId)) throw noSuchRule();
      const adjusted = rules.map((rule) => (rule.rule_id === ruleId ? { ...rule, ...change } : rule));
      return { ...changes, own: { ...changes.own, [kind]: adjusted } };
    });
  }

  async collect({ userId, since, until }: View): Promise<Piece> {
    if (since && since.changes >= until.changes) return {};
    const { changes, position } = await this.#read(userId);
    if (since && (position <= since.changes || position > until.changes)) return {};
    return { accountData: [{ type: 'm.push_rules', content: { global: ruleset(userId, changes) } }] };
  }

  #read(userId: string) {
    return this.#kept.get(userId, () => read(this.#db, userId));
  }

  async #change(userId: string, change: (before: UserChanges) => UserChanges): Promise<void> {
    await this.#changes.write(async (tx) => {
      const changes = { ...change((await read(tx, userId)).changes) };
      await tx
        .insert(pushRules)
        .values({ userId, changes })
        .onConflictDoUpdate({ target: pushRules.userId, set: { changes, position: nextPosition } });
    });
    this.#kept.forget(userId);
    this.#notifier.usersChanged([userId]);
  }
}

async function read(db: Database, userId: string): Promise<{ changes: UserChanges; position: number }> {
  const [found] = await db.select().from(pushRules).where(eq(pushRules.userId, userId));
  return { changes: (found?.changes ?? NO_CHANGES) as UserChanges, position: found?.position ?? 0 };
}

function ruleset(userId: string, { own, predefined }: UserChanges): Ruleset {
  const defaults = predefinedRules(userId);
  const ofKind = (kind: Kind): readonly Rule[] => {
    const given = defaults[kind].map((rule) => ({ ...rule, ...predefined[rule.rule_id] }));
    const master = given.filter(({ rule_id }) => rule_id === MASTER);
    return [...master, ...(own[kind] ?? []), ...given.filter((rule) => !master.includes(rule))];
  };
  return Object.fromEntries(KINDS.map((kind) => [kind, ofKind(kind)])) as Record<Kind, readonly Rule[]>;
}

function placeAmong(rules: readonly Rule[], { before, after }: Place): number | undefined {
  const wanted = before ?? after;
  if (wanted === undefined) return undefined;
  const at = rules.findIndex(({ rule_id }) => rule_id === wanted);
  if (at < 0) throw unknownRequest(`before/after rule not found: ${wanted}`);
  return before === undefined ? at + 1 : at;
}

const noSuchRule = () => notFound('There is no such push rule');
