// Every kind of join against the model: random modules, answers, policies and orders of answering, in both fan-out orders.

import assert from 'node:assert/strict';
import type { Failure } from '@bulkhead/sdk/contract';
import fc from 'fast-check';
import t from 'tap';
import { dispatcherOf, FakeModule, type FanOut, turn } from './fakes.ts';
import { decide, isSettled, type ModelModule, type Say } from './model.ts';
import { failureKinds, type RowScript, rawAnswer, rowScripts } from './rows.ts';

interface Scene {
  readonly modules: readonly (ModelModule & { readonly mode: 'enforce' | 'observe'; readonly rank: number })[];
  readonly fanOut: FanOut;
  /** After how many answers the caller gives up. */
  readonly abortAfter: number | undefined;
}

const saysOf = (row: RowScript): readonly Say[] => [
  { say: 'pass' },
  ...(row.refuses ? [{ say: 'refuse' } as const] : []),
  ...row.values.map((value) => ({ say: 'value', value }) as const),
  { say: 'fail', kind: 'threw' },
];

/** What may still come: a union may always become larger. */
const possible = (row: RowScript): readonly Say[] =>
  row.join === 'union' ? [...saysOf(row), { say: 'value', value: '@another:example.org' }] : saysOf(row);

const sceneOf = (row: RowScript, aborts: fc.Arbitrary<number | undefined>): fc.Arbitrary<Scene> => {
  const kinds = fc.constantFrom(...failureKinds);
  const says = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...saysOf(row)) },
    { weight: 1, arbitrary: kinds.map((kind): Say => ({ say: 'fail', kind })) },
  );
  const module = fc.record({
    says,
    policy: fc.constantFrom('allow' as const, 'reject' as const),
    mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'enforce' as const, 'observe' as const),
    rank: fc.integer(),
  });
  return fc.record({
    modules: fc
      .array(module, { minLength: 1, maxLength: 5 })
      .map((list) => list.map((each, index) => ({ ...each, id: `m${index + 1}` }))),
    fanOut: fc.constantFrom('parallel' as const, 'sequential' as const),
    abortAfter: aborts,
  });
};

/** These ask one module after another whatever the configuration says. */
const asksInOrder = (row: RowScript, fanOut: FanOut): boolean =>
  fanOut === 'sequential' || ['firstReplacement', 'waterfall', 'notify'].includes(row.join);
/** On these there is no policy to choose: who fails is left out. */
const policyOf = (row: RowScript, module: ModelModule) =>
  row.join === 'union' || row.join === 'notify' ? 'skip' : module.policy;

interface Played {
  readonly outcome: Record<string, unknown> | undefined;
  readonly fakes: readonly FakeModule[];
  /** Ids of the enforcing modules that answered before the outcome was there. */
  readonly answered: ReadonlySet<string>;
  /** Whether the outcome was there too early or too late, or modules were asked at once that are asked in order. */
  readonly wrongMoment: string;
}

async function play(row: RowScript, { modules, fanOut, abortAfter }: Scene): Promise<Played> {
  const fakes = modules.map(
    (module) =>
      new FakeModule(module.id, {
        mode: module.mode,
        policy: policyOf(row, module),
        answer: (call) => rawAnswer(row, module.id, module.says, call),
      }),
  );
  const abort = new AbortController();
  const options = abortAfter === undefined ? [] : [{ signal: abort.signal }];
  const enforcing = modules.filter(({ mode }) => mode === 'enforce');
  const answered = new Set<string>();
  let outcome: Record<string, unknown> | undefined;
  let wrongMoment = '';
  void dispatcherOf(fakes, fanOut)
    .dispatch(row.callback, [...row.args, ...options])
    .then((settled) => {
      outcome = { ...settled };
    });
  for (let answers = 0; outcome === undefined; answers++) {
    if (answers === abortAfter) abort.abort();
    await turn();
    const running = fakes.filter(({ mode, calls }) => mode === 'enforce' && calls.size > 0).length;
    if (running > 1 && asksInOrder(row, fanOut)) wrongMoment = 'at once';
    const due = abort.signal.aborted || isSettled(row.join, enforcing, answered, possible(row));
    if (due !== (outcome !== undefined)) wrongMoment = due ? 'late' : 'early';
    if (wrongMoment !== '' || outcome !== undefined) break;
    const [next] = fakes
      .map((fake, index) => ({ fake, rank: modules[index]?.rank ?? 0 }))
      .filter(({ fake }) => fake.pending !== undefined)
      .sort((a, b) => a.rank - b.rank);
    if (next === undefined) break;
    if (next.fake.mode === 'enforce') answered.add(next.fake.id);
    next.fake.settle();
  }
  return { outcome, fakes, answered, wrongMoment };
}

const failuresIn = (outcome: Record<string, unknown> = { failures: [] }) =>
  (outcome.failures as readonly Failure[]).map(({ module, kind }) => `${module} ${kind}`);

for (const row of rowScripts) {
  t.test(`${row.callback} (${row.join}) gives what the model gives`, async (t) => {
    await t.resolves(
      fc.assert(
        fc.asyncProperty(sceneOf(row, fc.constant(undefined)), async (scene) => {
          const { outcome, fakes, answered, wrongMoment } = await play(row, scene);
          const enforcing = scene.modules.filter(({ mode }) => mode === 'enforce');
          const inOrder = asksInOrder(row, scene.fanOut);

          assert.equal(wrongMoment, '', 'settles as soon as nothing can change it any more');
          assert.equal(row.read(outcome ?? {}), decide(row.join, enforcing));
          const called = enforcing.filter(({ id }) => !inOrder || answered.has(id)).map(({ id }) => id);
          const observers = scene.modules.filter(({ mode }) => mode === 'observe').map(({ id }) => id);
          const asked = fakes.filter((fake) => fake.asked > 0).map(({ id }) => id);
          assert.deepEqual(asked.toSorted(), [...called, ...observers].sort(), 'who was called');
          assert.ok(fakes.every((fake) => fake.asked <= 1));

          const failed = enforcing.flatMap(({ id, says }) =>
            says.say === 'fail' && answered.has(id) ? [`${id} ${says.kind}`] : [],
          );
          assert.deepEqual(failuresIn(outcome), failed, 'failures, in the order of the configuration');

          const running = called.filter((id) => !answered.has(id));
          assert.deepEqual(
            fakes.filter((fake) => fake.cancelled > 0).map(({ id }) => id),
            running,
            'what was still running is cancelled, observers are not',
          );
          assert.ok(new Set(fakes.flatMap(({ body }) => body?.callId ?? [])).size <= 1, 'one call id for all');
        }),
        { numRuns: 300 },
      ),
    );
  });

  t.test(`${row.callback}: a caller who gives up gets his outcome at once`, async (t) => {
    await t.resolves(
      fc.assert(
        fc.asyncProperty(sceneOf(row, fc.nat(4)), async (scene) => {
          const { outcome, fakes, answered, wrongMoment } = await play(row, scene);
          const stopped = scene.modules
            .filter(({ mode }) => mode === 'enforce')
            .map((module): ModelModule => {
              const policy = policyOf(row, module) === 'skip' ? 'allow' : module.policy;
              const says: Say = answered.has(module.id) ? module.says : { say: 'fail', kind: 'stopped' };
              return { id: module.id, policy, says };
            });
          assert.equal(wrongMoment, '');
          assert.equal(row.read(outcome ?? {}), decide(row.join, stopped), 'who was not heard counts as stopped');
          assert.ok(
            fakes.every(({ mode, pending }) => mode === 'observe' || pending === undefined),
            'nothing runs on',
          );
        }),
        { numRuns: 200 },
      ),
    );
  });
}
