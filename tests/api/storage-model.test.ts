// Random operations on a LevelDB folder, and on a Map beside it, with a clock that only the test moves: both say the same.

import { ApiError } from '@bulkhead/sdk/contract';
import fc from 'fast-check';
import t from 'tap';
import {
  ENTRY_BYTES,
  type ListPage,
  type ModuleStore,
  openStorage,
  type TtlOption,
} from '../../packages/runtime/src/api/storage.ts';

const QUOTA = 1000;
let folders = 0;

const key = fc.constantFrom('a', 'b', 'ab', 'a:', '\0', 'é', '\u{1f600}', '\uffff', 'v', 'x');
const value = fc.oneof(fc.integer(), fc.string({ maxLength: 300 }), fc.constant(null), fc.jsonValue({ maxDepth: 2 }));
const ttl = fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined });
const call = fc.oneof(
  fc.record({ do: fc.constant('get' as const), key }),
  fc.record({ do: fc.constant('set' as const), key, value, ttl }),
  fc.record({ do: fc.constant('delete' as const), key }),
  fc.record({ do: fc.constant('increment' as const), key, by: fc.integer({ min: -5, max: 5 }), ttl }),
  fc.record({
    do: fc.constant('list' as const),
    prefix: fc.option(fc.constantFrom('', 'a', 'a:', '\u{1f600}'), { nil: undefined }),
    after: fc.option(key, { nil: undefined }),
    limit: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  }),
);
const operation = fc.oneof(
  { weight: 10, arbitrary: call },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 150 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('neighbour' as const), key, value }) },
);

t.test('storage behaves as a Map with times and a budget', async (t) => {
  const root = t.testdir();
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
      const directory = `${root}/${folders++}`;
      const world = { time: 1_000_000 };
      const model = new Model(world);
      const neighbour = new Model(world);
      const open = async () => {
        const storage = await openStorage(directory, { now: () => world.time });
        return { storage, a: storage.of('a', { quotaBytes: QUOTA }), b: storage.of('a:', { quotaBytes: QUOTA }) };
      };
      let real = await open();
      for (const step of operations) {
        switch (step.do) {
          case 'advance':
            world.time += step.ms;
            break;
          case 'reopen':
            await real.storage.close();
            real = await open();
            break;
          case 'sweep':
            await real.storage.sweep();
            break;
          case 'neighbour':
            await bothSay(real.b, neighbour, { ...step, do: 'set' });
            break;
          default:
            await bothSay(real.a, model, step);
        }
      }
      await bothSay(real.a, model, { do: 'list', limit: 1000 });
      await bothSay(real.b, neighbour, { do: 'list', limit: 1000 });
      await real.storage.close();
    }),
    { numRuns: 300 },
  );
});

type Call =
  | { do: 'get' | 'delete'; key: string }
  | ({ do: 'set'; key: string; value: unknown } & TtlOption)
  | ({ do: 'increment'; key: string; by: number } & TtlOption)
  | ({ do: 'list' } & ListPage);

async function bothSay(real: ModuleStore, model: ModuleStore, step: Call): Promise<void> {
  const [said, expected] = [await answer(real, step), await answer(model, step)];
  if (said !== expected) throw new Error(`storage says ${said}, the model ${expected}, to ${JSON.stringify(step)}`);
}

async function answer(store: ModuleStore, step: Call): Promise<string> {
  try {
    return JSON.stringify({ value: await run(store, step) });
  } catch (error) {
    return error instanceof Refused || error instanceof ApiError ? error.code : String(error);
  }
}

function run(store: ModuleStore, step: Call): Promise<unknown> {
  switch (step.do) {
    case 'get':
      return store.get(step.key);
    case 'set':
      return store.set(step.key, step.value, step);
    case 'delete':
      return store.delete(step.key);
    case 'increment':
      return store.increment(step.key, step.by, step);
    case 'list':
      return store.list(step);
  }
}

class Refused {
  readonly code: string;
  constructor(code: string) {
    this.code = code;
  }
}

class Model implements ModuleStore {
  readonly #entries = new Map<string, { json: string; expires: number }>();
  readonly #world: { readonly time: number };

  constructor(world: { readonly time: number }) {
    this.#world = world;
  }

  async get(key: string) {
    const json = this.#live().get(key)?.json;
    return json === undefined ? undefined : JSON.parse(json);
  }

  async set(key: string, value: unknown, { ttl }: TtlOption = {}) {
    this.#put(key, JSON.stringify(value), ttl === undefined ? Number.POSITIVE_INFINITY : this.#world.time + ttl);
    return null;
  }

  async delete(key: string) {
    return this.#live().delete(key);
  }

  async increment(key: string, by = 1, { ttl }: TtlOption = {}) {
    const entry = this.#live().get(key);
    const before: unknown = entry === undefined ? 0 : JSON.parse(entry.json);
    if (typeof before !== 'number' || Math.abs(before + by) > Number.MAX_SAFE_INTEGER)
      throw new Refused('InvalidArgument');
    const expires = ttl === undefined ? Number.POSITIVE_INFINITY : this.#world.time + ttl;
    this.#put(key, JSON.stringify(before + by), entry?.expires ?? expires);
    return before + by;
  }

  async list({ prefix = '', after, limit = 100 }: ListPage = {}) {
    const matching = [...this.#live()]
      .filter(([key]) => key.startsWith(prefix) && (after === undefined || bytes(key, after) > 0))
      .sort(([a], [b]) => bytes(a, b))
      .map(([key, { json }]): [string, unknown] => [key, JSON.parse(json)]);
    const entries = matching.slice(0, limit);
    return { entries, next: matching.length > limit ? (entries.at(-1)?.[0] ?? null) : null };
  }

  #put(key: string, json: string, expires: number): void {
    const size = (name: string, text: string) => ENTRY_BYTES + Buffer.byteLength(name) + Buffer.byteLength(text);
    const entries = this.#live();
    const before = entries.get(key);
    let used = 0;
    for (const [name, entry] of entries) used += size(name, entry.json);
    const growth = size(key, json) - (before === undefined ? 0 : size(key, before.json));
    if (growth > 0 && used + growth > QUOTA) throw new Refused('QuotaExceeded');
    entries.set(key, { json, expires });
  }

  #live() {
    for (const [key, { expires }] of this.#entries) if (expires <= this.#world.time) this.#entries.delete(key);
    return this.#entries;
  }
}

function bytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
