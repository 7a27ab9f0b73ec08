// Asks the victim all the time, as its users would, and an innocent bystander beside it.

import { ask, sleep } from './http.ts';
import { residentMiB } from './proc.ts';
import type { Victim } from './victim.ts';

/** Of one series of measurements, in milliseconds. */
export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What the probes met with since they were taken last. */
export interface Probed {
  /** The homeserver's own answers. */
  readonly host: Latency;
  /** Verdicts and pages of the good modules. */
  readonly neighbours: Latency;
  /** A process that has nothing to do with it. */
  readonly bystander: Latency;
  /** Answers of the homeserver or of a good module that were not what they should be. */
  readonly wrong: readonly string[];
  /** Questions to good modules that failed, and said so. */
  readonly lost: readonly string[];
  /** The largest resident size seen, of the host and of its hulls, in MiB. */
  readonly peakMiB: number;
  readonly hullsPeakMiB: number;
}

const PAUSE_MS = 6;
const MEMORY_EVERY_MS = 50;

type Verdict = { readonly wrong: string } | { readonly lost: string } | undefined;

export class Probes {
  readonly #victim: Victim;
  readonly #bystander: number;
  #samples = { host: [] as number[], neighbours: [] as number[], bystander: [] as number[] };
  #wrong: string[] = [];
  #lost: string[] = [];
  #peak = 0;
  #hullsPeak = 0;
  #running = true;
  readonly #loops: Promise<unknown>;

  constructor(victim: Victim, bystander: number) {
    this.#victim = victim;
    this.#bystander = bystander;
    this.#loops = Promise.all([
      this.#loop('host', () => this.#alive()),
      this.#loop('neighbours', (n) => this.#verdicts(n)),
      this.#loop('neighbours', (n) => this.#page(n)),
      this.#loop('bystander', async () => void (await ask(this.#bystander, '/'))),
      this.#weigh(),
    ]);
  }

  take(): Probed {
    const { host, neighbours, bystander } = this.#samples;
    const probed = {
      host: latency(host),
      neighbours: latency(neighbours),
      bystander: latency(bystander),
      wrong: this.#wrong,
      lost: this.#lost,
      peakMiB: this.#peak,
      hullsPeakMiB: this.#hullsPeak,
    };
    this.#samples = { host: [], neighbours: [], bystander: [] };
    this.#wrong = [];
    this.#lost = [];
    this.#peak = 0;
    this.#hullsPeak = 0;
    return probed;
  }

  /** Goes on until the host has answered so often since the last take, or for so long. */
  async reach(answers: number, mostMs: number): Promise<void> {
    const until = performance.now() + mostMs;
    while (this.#samples.host.length < answers && performance.now() < until) await sleep(PAUSE_MS);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#loops;
  }

  async #loop(series: 'host' | 'neighbours' | 'bystander', probe: (n: number) => Promise<Verdict | void>) {
    for (let n = 0; this.#running; n++) {
      const startedAt = performance.now();
      const verdict = await probe(n).catch((error: unknown): Verdict => ({ wrong: `${series}: ${error}` }));
      this.#samples[series].push(performance.now() - startedAt);
      if (verdict !== undefined && 'wrong' in verdict) this.#wrong.push(verdict.wrong);
      if (verdict !== undefined && 'lost' in verdict) this.#lost.push(verdict.lost);
      await sleep(verdict === undefined ? PAUSE_MS : PAUSE_MS * 10);
    }
  }

  async #weigh(): Promise<void> {
    while (this.#running) {
      const hulls = this.#victim.hullsMiB();
      this.#peak = Math.max(this.#peak, residentMiB(this.#victim.pid));
      this.#hullsPeak = Math.max(this.#hullsPeak, hulls);
      await sleep(MEMORY_EVERY_MS);
    }
  }

  async #alive(): Promise<Verdict> {
    const { status, body } = await ask(this.#victim.port, '/alive');
    return status === 200 && body === 'alive' ? undefined : { wrong: `the host answered ${status} ${body}` };
  }

  async #page(n: number): Promise<Verdict> {
    const path = `/_synapse/client/page?n=${n}`;
    const { status, body } = await ask(this.#victim.port, path).catch((error: Error) => {
      // It had begun to answer.
      if (error.message === 'aborted') return { status: 503, body: 'the page broke off' };
      throw error;
    });
    if (status === 200 && body === `page ${n}`) return undefined;
    const said = `the page answered ${status} ${body.slice(0, 200)}`;
    return status === 503 || status === 504 ? { lost: said } : { wrong: said };
  }

  /** Each answer in turn: whoever answers always the same would pass with one. */
  async #verdicts(n: number): Promise<Verdict> {
    switch (n % 5) {
      case 0:
        return this.#expect('checkEventForSpam', [message('this is spam')], {
          allowed: false,
          module: 'words',
          errcode: 'ORG_EXAMPLE_SPAM',
          error: 'no spam here',
          status: 403,
        });
      case 1:
        return this.#expect('checkUsernameForSpam', [profile('alice'), '@bob:example.com'], { allowed: true });
      case 2:
        return this.#expect('checkUsernameForSpam', [profile('spammer'), '@bob:example.com'], {
          allowed: false,
          module: 'words',
          cause: 'refused',
        });
      case 3:
        return this.#expect('userMayCreateRoom', ['@alice:example.com', {}], { allowed: true });
      default:
        return this.#expect('userMayCreateRoom', ['@banned:example.com', {}], { allowed: false, module: 'page' });
    }
  }

  async #expect(callback: string, args: readonly unknown[], expected: Readonly<Record<string, unknown>>) {
    const outcome = await this.#victim.call(callback, ...args);
    const failed = outcome.failures.find(({ module }) => module === 'words' || module === 'page');
    if (failed !== undefined) return { lost: `${callback}: ${failed.module} ${failed.kind}: ${failed.message}` };
    const differs = Object.entries(expected).some(
      ([key, value]) => (outcome as unknown as Record<string, unknown>)[key] !== value,
    );
    return differs ? { wrong: `${callback}: ${JSON.stringify(outcome)}` } : undefined;
  }
}

const profile = (name: string) => ({ user_id: `@${name}:example.com`, display_name: name, avatar_url: null });

/** An event as clients send them. */
export const message = (body: string, content: object = {}) => ({
  type: 'm.room.message',
  room_id: '!room:example.com',
  sender: '@alice:example.com',
  origin_server_ts: 1_700_000_000_000,
  content: { body, ...content },
});

function latency(samples: readonly number[]): Latency {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}
