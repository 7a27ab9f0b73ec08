// One configured module in all the cells that it has: one, unless it says that it is stateless and the admin wants several.

import type { ModuleEntry } from '../config/entry.js';
import type { ModuleState, ModuleStatus } from '../modules.js';
import type { Life, Registered } from './life.js';
import type { SupervisedModule } from './module.js';

export class Instances {
  readonly members: readonly SupervisedModule[];
  readonly #first: SupervisedModule;
  #turn = 0;

  /** @param members of the same entry, and at least one */
  constructor(members: readonly SupervisedModule[]) {
    this.members = members;
    this.#first = members[0] as SupervisedModule;
  }

  get id(): string {
    return this.#first.id;
  }

  get entry(): ModuleEntry {
    return this.#first.entry;
  }

  get code(): string {
    return this.#first.code;
  }

  get registered(): Registered {
    return (this.members.find(({ life }) => life !== undefined) ?? this.#first).registered;
  }

  /** The one that the next call is for: of those that run, one with the least in flight. */
  next(): SupervisedModule {
    const { members } = this;
    this.#turn = (this.#turn + 1) % members.length;
    let best = members[this.#turn] as SupervisedModule;
    for (let step = 1; step < members.length; step++) {
      const other = members[(this.#turn + step) % members.length] as SupervisedModule;
      const serves = other.state === 'running';
      if (best.state === 'running' ? serves && other.inFlight < best.inFlight : serves) best = other;
    }
    return best;
  }

  present(ms: number): Promise<Life | undefined> {
    return this.next().present(ms);
  }

  doubt(life: Life): void {
    this.members.find((member) => member.livedIn(life.cell))?.doubt(life);
  }

  /** One after another, so that the others answer meanwhile. @throws StartFailure */
  async renew(): Promise<void> {
    for (const member of this.members) await member.renew();
  }

  status(): ModuleStatus {
    const all = this.members.map((member) => member.status());
    const best = [...all].sort((a, b) => RANK[a.state] - RANK[b.state])[0] as (typeof all)[number];
    const sum = (read: (one: (typeof all)[number]) => number): number =>
      all.reduce((total, one) => total + read(one), 0);
    const memories = all.flatMap(({ memory }) => memory ?? []);
    return {
      ...best,
      instances: { configured: all.length, running: all.filter(({ state }) => state === 'running').length },
      restarts: sum(({ restarts }) => restarts),
      calls: sum(({ calls }) => calls),
      failures: counted(all.map(({ failures }) => failures)),
      watches: counted(all.map(({ watches }) => watches)),
      inFlight: sum(({ inFlight }) => inFlight),
      startMs: Math.max(...all.map(({ startMs }) => startMs)),
      memory: memories.length === 0 ? undefined : memories.reduce((a, b) => a + b),
      cpu: sum(({ cpu }) => cpu),
      apiCalls: sum(({ apiCalls }) => apiCalls),
    };
  }
}

/** The module is what the best of its instances is. */
const RANK: Readonly<Record<ModuleState, number>> = { running: 0, restarting: 1, starting: 2, parked: 3, stopped: 4 };

function counted<K extends string>(
  counts: readonly Readonly<Partial<Record<K, number>>>[],
): Partial<Record<K, number>> {
  const total: Partial<Record<K, number>> = {};
  for (const each of counts) {
    for (const [key, count] of Object.entries(each) as [K, number][]) total[key] = (total[key] ?? 0) + count;
  }
  return total;
}
