/**
 * The containment suite. One test file is one class of attack: a list of attacks as data, given to `containmentSuite`.
 *
 * ```ts
 * import { ended, failed, restarted, whenAsked } from './harness/attack.ts';
 * import { containmentSuite } from './harness/suite.ts';
 *
 * await containmentSuite('block', [
 *   {
 *     name: 'endless loop in a callback',
 *     module: 'block.ts#LoopInCallback',            // modules/block.ts; modules/attacker.ts has what attackers have in common
 *     entry: { timeout: '200ms' },                  // more keys of its entry in the configuration
 *     provoke: whenAsked,                           // any function of the target; without, its start is the attack
 *     holds: [failed('module_timeout'), ended(/no sign of life/), restarted],
 *     layer: 'vigil',
 *     without: { layers: ['vigil'], shows: notEnded, afterMs: 1_500 },
 *     thread: { lost: 'why it is not stopped with containment: thread', shows: hostDies },  // absent: it is stopped there, too
 *   },
 * ]);
 * ```
 *
 * Each attack meets a victim: a real homeserver process with two good modules (modules/neighbours.ts) behind a real HTTP server
 * (host.ts). Victims are shared by the attacks of a class; the attacker comes by a reload of the configuration, under an id made of
 * its name. All the while, clients of the suite ask the host and the good modules, and a bystander process that has nothing to do
 * with it. What must hold for every attack, beyond what its `holds` says:
 *
 * - the host answers, with a p99 of at most 3 times the p99 at rest plus 20 ms, and its event loop stands still for at most
 *   200 ms; both times what the bystander suffered meanwhile. What was late once is tried again, and on a machine that is busy
 *   with other things (which the bystander tells) so is what failed; thrice running is a failure. The sample, which runs
 *   wherever the tests do, says what was late, and fails only for what cannot be the machine's doing: a second of silence;
 * - the good modules' verdicts and pages are right, and none is lost but at the end of a hull, and then no more than were running;
 * - when all attacks of a victim are over: both good modules run, memory is within 64 MiB of what it was (with `containment:
 *   process`), no descriptor and no thread is left, and no process outlives it.
 *
 * Runs with `containment: process`, then `thread` (an attack with `thread` shows there that it is not stopped), then with the layers of
 * `without` off. What was seen goes to results/<Node's major>/<class>.json; report.ts makes the table of docs/security.md from it.
 * `npm test` takes a sample, with `containment: process`; CONTAINMENT=full, as in `npm run test:containment`, tries everything.
 * `ONLY=loop npx tap run containment/block.test.ts` runs the attacks whose name has that in it; `LOG=1` shows the hosts' logs;
 * `PATIENCE=5000` waits no longer for what does not come.
 */

import t, { type Test } from 'tap';
import { type Attack, type Expectation, type Lost, type Seen, Target, type Without } from './attack.ts';
import { ask, hangUp, sleep } from './http.ts';
import { type Latency, Probes } from './probes.ts';
import { type AttackResult, type Figures, type Held, writeResults } from './results.ts';
import { type Containment, configText, type Entry, type Inventory, neighbours, spawnScript, Victim } from './victim.ts';

/** The short run, part of `npm test`, is a sample: some of the attacks, and one with a layer taken off. */
const isFull = process.env.CONTAINMENT === 'full';
const SAMPLE = 6;
const PATIENCE_MS = Number(process.env.PATIENCE ?? 30_000);
/** At rest, before the first attack on a victim. */
const REST_MS = 700;
/** After an attack, to see whether everybody goes on. */
const AFTER_MS = 150;
const LATENCY_FACTOR = 3;
const LATENCY_EXTRA_MS = 20;
const STALL_MS = 200;
const SILENCE_MS = 1_000;
/** A percentile of fewer answers than this is the worst of them. */
const LEAST_ANSWERS = 100;
/** Clients and probes take less. */
const BUSY_CORES = 0.4;
const MEMORY_MIB = 64;
/** What was freed and the C library has not given back yet: it does so when it likes, and after thirty floods in a row it has much. */
const FREED_MIB = 64;
/** Of Node's own, which it starts when it first needs them; a leak would show after each attack. */
const OWN_THREADS = 1;
/** What a busy machine may have caused is tried again; on a machine that is not, only what took too long is. */
const ATTEMPTS = 3;
/** The bystander answers at once; when it does not, the machine is busy with other things. */
const BUSY_P99_MS = 25;
/** As many calls of good modules as the suite has running at a time. */
const RUNNING_CALLS = 2;

export async function containmentSuite(name: string, attacks: readonly Attack[]): Promise<void> {
  const { ONLY: only } = process.env;
  const first = attacks.find(({ without }) => without !== undefined);
  const chosen = attacks.filter((attack, index) => {
    if (only !== undefined) return attack.name.includes(only);
    return isFull || attack === first || (!attack.variant && index % SAMPLE === 0);
  });
  const results: AttackResult[] = chosen.map(({ name: attack, layer, thread }) => ({
    attack,
    layer,
    ...(thread === undefined ? {} : { lost: thread.lost }),
  }));
  const resultOf = (attack: Attack): AttackResult => results[chosen.indexOf(attack)] as AttackResult;
  const bystander = await Bystander.start();
  t.teardown(() => bystander.end());

  for (const containment of isFull ? (['process', 'thread'] as const) : (['process'] as const)) {
    const expected = chosen.filter(({ thread }) => containment === 'process' || thread === undefined);
    const [alone, together] = [expected.filter(({ alone }) => alone), expected.filter(({ alone }) => !alone)];
    for (const group of [together, ...alone.map((attack) => [attack])]) {
      if (group.length === 0) continue;
      await t.test(`${containment}: ${group.length > 1 ? name : group[0]?.name}`, async (t) => {
        const siege = await Siege.start(t, containment, bystander);
        for (const attack of group) {
          await t.test(attack.name, async (t) => {
            resultOf(attack)[containment] = await siege.withstands(t, attack);
          });
          await siege.revive();
        }
        await t.test('nothing is left of them', (t) => siege.isOver(t));
      });
    }
  }

  await t.test('thread: what is lost', async (t) => {
    const shown = chosen.filter((attack) => isFull && attack.thread?.shows !== undefined);
    for (const attack of shown) {
      await t.test(attack.name, async (t) => {
        const siege = await Siege.start(t, 'thread', bystander);
        const { shows, afterMs } = attack.thread as Required<Lost>;
        const amiss = await siege.falls(attack, { layers: [], shows, afterMs });
        t.equal(amiss, undefined, 'it succeeds');
        resultOf(attack).thread = { holds: false, figures: undefined };
        await siege.raze();
      });
    }
  });

  await t.test('without a layer', async (t) => {
    let siege: Siege | undefined;
    let off = '';
    // Attacks against the same layers share a victim for as long as it lives.
    const tried = chosen.filter((attack) => attack.without !== undefined && (isFull || only || attack === first));
    tried.sort((a, b) => layersOf(a).localeCompare(layersOf(b)));
    for (const attack of tried) {
      await t.test(`${attack.name} without ${layersOf(attack)}`, async (t) => {
        if (siege === undefined || off !== layersOf(attack) || siege.hasFallen) {
          await siege?.raze();
          off = layersOf(attack);
          siege = await Siege.start(t, 'process', bystander, attack.without?.layers);
        }
        const amiss = await siege.falls(attack, attack.without as Without);
        t.equal(amiss, undefined, 'it succeeds');
        resultOf(attack).without = { layers: attack.without?.layers ?? [], succeeds: amiss === undefined };
        if (attack.alone || attack.endsHull) {
          await siege.raze();
          siege = undefined;
        }
      });
    }
    await siege?.raze();
  });

  await writeResults(name, results);
}

const layersOf = ({ without }: Attack): string => [...(without?.layers ?? [])].sort().join(' and ');

const idOf = ({ name }: Attack): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 56);

/** A victim under attack, one attack after another. */
class Siege {
  readonly #containment: Containment;
  readonly #bystander: Bystander;
  readonly #layersOff: Without['layers'];
  #victim: Victim;
  #probes: Probes;
  #rest: Seen['rest'];
  #before: Awaited<ReturnType<Victim['inventory']>>;
  #attempts = 0;

  private constructor(
    containment: Containment,
    bystander: Bystander,
    layersOff: Without['layers'],
    started: Awaited<ReturnType<typeof begin>>,
  ) {
    this.#containment = containment;
    this.#bystander = bystander;
    this.#layersOff = layersOff;
    this.#victim = started.victim;
    this.#probes = started.probes;
    this.#rest = started.rest;
    this.#before = started.before;
  }

  static async start(t: Test, containment: Containment, bystander: Bystander, layersOff: Without['layers'] = []) {
    const siege = new Siege(containment, bystander, layersOff, await begin(containment, layersOff, bystander.port));
    t.teardown(() => siege.raze());
    return siege;
  }

  get hasFallen(): boolean {
    return this.#victim.exit !== undefined;
  }

  /** The attack is stopped, and nobody is hurt. */
  async withstands(t: Test, attack: Attack): Promise<Held> {
    const expectations = typeof attack.holds === 'function' ? [attack.holds] : attack.holds;
    const holds: Expectation = (seen) =>
      expectations.map((expect) => expect(seen)).find((amiss) => amiss !== undefined);
    const earlier: string[] = [];
    for (let attempt = 1; ; attempt++) {
      const { seen, tookMs } = await this.#attack(attack, holds, attack.patienceMs ?? PATIENCE_MS);
      const amiss = [holds(seen), ...this.#unharmed(seen, attack)].filter((each) => each !== undefined);
      const late = await this.#late(seen, t);
      const figures = figuresOf(seen, tookMs);
      const isSure = amiss.length > 0 && !isBusy(seen);
      if (amiss.length + late.length === 0 || isSure || attempt === ATTEMPTS) {
        for (const each of [...amiss, ...late]) t.fail(each);
        if (amiss.length + late.length === 0) t.pass(told(figures));
        else t.comment(told(figures), ...earlier, seen.log.slice(-20));
        return { holds: amiss.length + late.length === 0, figures };
      }
      earlier.push(`attempt ${attempt}, by which the machine may be to blame: ${[...amiss, ...late].join('; ')}`);
      t.comment(earlier.at(-1));
      await this.revive();
    }
  }

  /** The attack succeeds. @returns what is amiss with that */
  async falls(attack: Attack, { shows, afterMs }: Without): Promise<string | undefined> {
    const { seen } =
      afterMs === undefined
        ? await this.#attack(attack, shows, attack.patienceMs ?? PATIENCE_MS)
        : await this.#attack(attack, () => 'it is too early', afterMs);
    return shows(seen);
  }

  /** Whoever comes next finds a victim that lives. */
  async revive(): Promise<void> {
    if (!this.hasFallen) return;
    await this.raze();
    const { victim, probes, rest, before } = await begin(this.#containment, this.#layersOff, this.#bystander.port);
    this.#victim = victim;
    this.#probes = probes;
    this.#rest = rest;
    this.#before = before;
  }

  /** What is left of the attacks is what was there before. */
  async isOver(t: Test): Promise<void> {
    const victim = this.#victim;
    await victim.reload(configText(neighbours));
    await this.#probes.stop();
    hangUp();
    const before = this.#before;
    // It has no hurry to tidy up (bundling ends its process after ten seconds), but it must come to an end.
    let after = await victim.inventory();
    // What threads of its own took, a process gives back to the system when it likes.
    const isSmall = (): boolean =>
      this.#containment === 'thread' ||
      (after.heldMiB <= before.heldMiB + MEMORY_MIB &&
        after.residentMiB <= before.residentMiB + FREED_MIB + MEMORY_MIB);
    const isTidy = (): boolean =>
      isSmall() &&
      after.threads <= before.threads + OWN_THREADS &&
      after.descriptors <= before.descriptors &&
      after.hulls <= before.hulls;
    for (let i = 0; i < 200 && !isTidy(); i++) {
      await sleep(100);
      after = await victim.inventory();
    }
    t.comment({ before, after });
    t.ok(isSmall(), `memory: ${memoryOf(before)} to ${memoryOf(after)}`);
    t.ok(after.threads <= before.threads + OWN_THREADS, `threads: ${before.threads} to ${after.threads}`);
    t.ok(after.descriptors <= before.descriptors, `descriptors: ${before.descriptors} to ${after.descriptors}`);
    t.ok(after.hulls <= before.hulls, `hulls: ${before.hulls} to ${after.hulls}`);
    for (const { id, state } of (await victim.look()).status) t.equal(state, 'running', `${id} runs`);
    t.same(await victim.end(), [], 'no process outlives it');
  }

  /** Ends the victim. */
  async raze(): Promise<void> {
    await this.#probes.stop();
    await this.#victim.end();
  }

  async #attack(
    attack: Attack,
    isOver: Expectation,
    patienceMs: number,
  ): Promise<{ readonly seen: Seen; readonly tookMs: number }> {
    const victim = this.#victim;
    const again = ++this.#attempts;
    const id = `${idOf(attack)}-${again}`;
    const { marks } = await victim.look();
    await victim.calm();
    await ask(this.#bystander.port, '/calm');
    this.#probes.take();
    const startedAt = performance.now();
    const entry: Entry = { module: `./modules/${attack.module}`, id, ...attack.entry };
    const target = new Target(id, victim);
    const start = await victim.reload(configText([...neighbours, entry])).catch((error: unknown) => ({
      problems: [{ code: 'HostFailed', module: undefined, message: String(error) }],
    }));
    let answer: unknown;
    let isAnswered = attack.provoke === undefined || start.problems.length > 0;
    if (!isAnswered) {
      void attack.provoke?.(target).then(
        (value) => {
          answer = value;
          isAnswered = true;
        },
        (error: unknown) => {
          answer = error instanceof Error ? error : new Error(String(error));
          isAnswered = true;
        },
      );
    }
    let cores = 0;
    const look = async (): Promise<Seen> => {
      const host = victim.exit === undefined ? await victim.look(marks).catch(() => undefined) : undefined;
      return {
        id,
        start,
        answer,
        host,
        exit: victim.exit,
        cores,
        hullsMiB: victim.hullsMiB(),
        log: host?.log ?? [],
        hulls: host?.hulls ?? [],
        cells: host?.cells ?? [],
        probed: undefined,
        rest: this.#rest,
      };
    };
    const until = performance.now() + patienceMs;
    let seen = await look();
    // Nothing will come of one that was to be provoked and is not there.
    const isStillborn = attack.provoke !== undefined && start.problems.length > 0;
    const goesOn = (): boolean =>
      performance.now() < until && !isStillborn && !(isAnswered && isOver(seen) === undefined);
    let tookMs = 0;
    // What has come true must last: it may have been in the middle of another life's end.
    do {
      while (goesOn()) {
        await sleep(25);
        seen = await look();
      }
      tookMs = performance.now() - startedAt;
      if (isFull && this.#layersOff.length === 0) await this.#probes.reach(LEAST_ANSWERS, AFTER_MS * 10);
      const [cpu, since] = [victim.cpuMs(), performance.now()];
      await sleep(AFTER_MS);
      cores = (victim.cpuMs() - cpu) / (performance.now() - since);
      seen = await look();
    } while (goesOn());
    const last = { ...seen, probed: this.#probes.take() };
    if (victim.exit === undefined) await this.#calmDown();
    return { seen: last, tookMs };
  }

  /** The attacker is taken away, so that its end falls into nobody else's time. */
  async #calmDown(): Promise<void> {
    const victim = this.#victim;
    await victim.reload(configText(neighbours)).catch(() => {});
    for (let pauses = 0; pauses < 50 && victim.exit === undefined; pauses++) {
      const cpu = victim.cpuMs();
      await sleep(100);
      if ((victim.cpuMs() - cpu) / 100 < BUSY_CORES) return;
    }
  }

  *#unharmed({ id, exit, host, probed, hulls, start }: Seen, { endsHull, provoke }: Attack): Iterable<string> {
    if (provoke !== undefined && start.problems.length > 0)
      yield `it was not started: ${JSON.stringify(start.problems)}`;
    if (exit !== undefined) yield `the host ended: ${exit}`;
    if (host === undefined) yield 'the host does not answer';
    for (const wrong of probed?.wrong.slice(0, 5) ?? []) yield `wrong: ${wrong}`;
    // On a busy machine an earlier attacker may take his hull with him so late.
    const isAnothers = ({ known, modules }: Seen['hulls'][number]): boolean => known && !modules.includes(id);
    const ended = hulls.filter((hull) => !isAnothers(hull));
    if (ended.length > 0 && endsHull === undefined) yield `a hull ended: ${JSON.stringify(ended)}`;
    for (const { known, modules } of hulls) {
      if (known && modules.some((id) => isGood(id))) yield `an innocent module was named: ${JSON.stringify(hulls)}`;
    }
    const lost = probed?.lost ?? [];
    if (lost.length > hulls.length * RUNNING_CALLS)
      yield `${lost.length} answers of good modules were lost: ${lost[0]}`;
    for (const { id, state, cause } of host?.status ?? []) {
      if (isGood(id) && state === 'parked') yield `${id} is parked: ${cause}`;
    }
  }

  async #late({ host, probed, rest }: Seen, t: Test): Promise<readonly string[]> {
    if (host === undefined || probed === undefined) return [];
    const machine = JSON.parse((await ask(this.#bystander.port, '/')).body) as { max: number };
    const slower = Math.max(1, probed.bystander.p99 / Math.max(1, rest.bystander.p99));
    const mostMs = (LATENCY_FACTOR * rest.host.p99 + LATENCY_EXTRA_MS) * slower;
    const late: string[] = [];
    const notLater = (seenMs: number, limitMs: number, amiss: string): void => {
      if (seenMs <= limitMs) return;
      if (isFull || seenMs > SILENCE_MS * slower + 2 * machine.max) late.push(amiss);
      else t.comment(amiss);
    };
    notLater(
      probed.host.p99,
      mostMs,
      `the host answered with a p99 of ${ms(probed.host.p99)}, at rest ${ms(rest.host.p99)}; the bystander's went from ${ms(rest.bystander.p99)} to ${ms(probed.bystander.p99)}`,
    );
    notLater(
      host.delayMs.max,
      STALL_MS + 2 * machine.max,
      `the host stood still for ${ms(host.delayMs.max)}; the bystander for ${ms(machine.max)}`,
    );
    return late;
  }
}

/** A victim at rest, and what that looks like. */
async function begin(containment: Containment, layersOff: Without['layers'], bystander: number) {
  const victim = await Victim.start(containment, layersOff);
  if (layersOff.length === 0) await victim.settle();
  const probes = new Probes(victim, bystander);
  const nothing = { count: 0, p50: 0, p99: 0, max: 0 };
  const isMeasured = layersOff.length === 0;
  if (!isMeasured) {
    return { victim, probes, rest: { host: nothing, bystander: nothing }, before: await victim.inventory() };
  }
  // Everything has been done once before it is measured.
  await sleep(REST_MS / 2);
  probes.take();
  await sleep(REST_MS);
  const { host, bystander: other } = probes.take();
  return {
    victim,
    probes,
    rest: { host, bystander: other } satisfies { host: Latency; bystander: Latency },
    before: await victim.inventory(),
  };
}

class Bystander {
  readonly port: number;
  readonly end: () => void;

  private constructor(port: number, end: () => void) {
    this.port = port;
    this.end = end;
  }

  static async start(): Promise<Bystander> {
    const { child, ready } = await spawnScript('bystander.ts');
    return new Bystander((ready as { port: number }).port, () => child.kill('SIGKILL'));
  }
}

const isGood = (id: string): boolean => neighbours.some((entry) => entry.id === id);

const isBusy = ({ probed, host }: Seen): boolean =>
  host === undefined || (probed?.bystander.p99 ?? Number.POSITIVE_INFINITY) > BUSY_P99_MS;

function figuresOf({ host, probed, rest }: Seen, tookMs: number): Figures {
  return {
    tookMs: Math.round(tookMs),
    hostRestP99Ms: round(rest.host.p99),
    hostP99Ms: round(probed?.host.p99),
    hostMaxMs: round(probed?.host.max),
    stallMs: round(host?.delayMs.max),
    neighboursP99Ms: round(probed?.neighbours.p99),
    neighboursMaxMs: round(probed?.neighbours.max),
    bystanderP99Ms: round(probed?.bystander.p99),
    lost: probed?.lost.length ?? 0,
    peakMiB: Math.round(probed?.peakMiB ?? 0),
    hullsPeakMiB: Math.round(probed?.hullsPeakMiB ?? 0),
  };
}

const round = (value = Number.NaN): number => Math.round(value * 10) / 10;
const ms = (value: number): string => `${value.toFixed(0)} ms`;

const memoryOf = ({ heldMiB, residentMiB }: Inventory): string =>
  `${Math.round(heldMiB)} MiB held, ${Math.round(residentMiB)} resident`;

const told = (figures: Figures): string =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
