// What an attack is, as data, and the words in which its end is expected.

import type { FailureKind } from '@bulkhead/sdk/contract';
import type { Layer } from '../../../packages/runtime/src/layers.ts';
import { type Answer, type AskOptions, ask } from './http.ts';
import { type Latency, message, type Probed } from './probes.ts';
import {
  configText,
  type Entry,
  type LogLine,
  neighbours,
  type Reloaded,
  type SeenOutcome,
  type Snapshot,
  type Victim,
} from './victim.ts';

export interface Attack {
  /** Said in the table: "endless loop in a callback". */
  readonly name: string;
  /** `file.ts#Export`, below modules/. */
  readonly module: string;
  /** Keys of its entry besides `module` and `id`; `config` is one of them. */
  readonly entry?: Entry;
  /**
   * What is done to it after it was started beside the good modules; without, its start is the attack. What it returns is
   * `seen.answer`.
   */
  readonly provoke?: ((target: Target) => Promise<unknown>) | undefined;
  /** What must have become of it. Looked at again and again, until it holds or `patienceMs` (30 s) are over. */
  readonly holds: Expectation | readonly Expectation[];
  readonly patienceMs?: number;
  /** What stops it, in words of docs/security.md. */
  readonly layer: string;
  /** With these layers off it succeeds, which shows so. */
  readonly without?: Without;
  /** Absent: with `containment: thread` it is stopped as well. */
  readonly thread?: Lost;
  /** It ends a hull, and good modules may be asked a little later for it, or lose the calls that were running. */
  readonly endsHull?: true;
  /** Another way to the same end as one before it: tried in the full run alone. */
  readonly variant?: true;
  /** It leaves a victim behind that others cannot be compared in: it gets one of its own. */
  readonly alone?: true;
}

export interface Without {
  readonly layers: readonly Layer[];
  readonly shows: Expectation;
  /** Looked at once, after so long: for what does not happen. Otherwise until it shows. */
  readonly afterMs?: number;
}

/** What `containment: thread` loses. */
export interface Lost {
  /** In words of docs/security.md. */
  readonly lost: string;
  /** How that shows; without, it is not tried, because it would be no test but a nuisance. */
  readonly shows?: Expectation;
  readonly afterMs?: number;
}

/** What is amiss, or nothing. */
export type Expectation = (seen: Seen) => string | undefined;

/** Everything that was seen of one attack. */
export interface Seen {
  /** The attacker's id: its name with dashes. */
  readonly id: string;
  readonly start: Reloaded;
  /** What `provoke` returned; an Error when it threw. */
  readonly answer: unknown;
  /** Absent when the host is gone, or does not answer. */
  readonly host: Snapshot | undefined;
  /** How the host's process ended. */
  readonly exit: string | undefined;
  /** How many cores the host and its hulls had in the last moment. */
  readonly cores: number;
  /** What is resident of its hulls together, in MiB. */
  readonly hullsMiB: number;
  /** Log lines since the attack began. */
  readonly log: readonly LogLine[];
  readonly hulls: Snapshot['hulls'];
  readonly cells: Snapshot['cells'];
  /** What clients and the bystander met with; there at the end. */
  readonly probed: Probed | undefined;
  /** The same at rest. */
  readonly rest: { readonly host: Latency; readonly bystander: Latency };
}

/** The attacker in its victim, for whoever provokes it. */
export class Target {
  readonly id: string;
  readonly victim: Victim;

  constructor(id: string, victim: Victim) {
    this.id = id;
    this.victim = victim;
  }

  /** The port that clients use. */
  get port(): number {
    return this.victim.port;
  }

  /** What an attacker would like to know. */
  get whereabouts(): Readonly<Record<string, unknown>> {
    const { port, controlPort, pid, secretFile } = this.victim;
    return { port, control: controlPort, hostPid: pid, secretFile };
  }

  /** Has all modules asked about an event that names this one. */
  ask(content: Readonly<Record<string, unknown>> = {}): Promise<SeenOutcome> {
    return this.victim.call('checkEventForSpam', message('hello', { ...content, attack: this.id }));
  }

  call(callback: string, ...args: readonly unknown[]): Promise<SeenOutcome> {
    return this.victim.call(callback, ...args);
  }

  /** Asks the host as a client. */
  request(path: string, options?: AskOptions): Promise<Answer> {
    return ask(this.port, path, options);
  }

  /** Another configuration, with the good modules in front. */
  reload(...entries: readonly Entry[]): Promise<Reloaded> {
    return this.victim.reload(configText([...neighbours, ...entries]));
  }
}

// How attacks are provoked

/** It is asked about an event. */
export const whenAsked = (target: Target): Promise<SeenOutcome> => target.ask();

/** Its web resource is asked. */
export const whenRequested = (target: Target): Promise<Answer> => target.request('/_synapse/client/attacker');

/** It is asked so many times, one after another. */
export const askedTimes =
  (times: number) =>
  async (target: Target): Promise<readonly SeenOutcome[]> => {
    const outcomes: SeenOutcome[] = [];
    for (let i = 0; i < times; i++) outcomes.push(await target.ask());
    return outcomes;
  };

/** It is asked again and again, until it says that; at most 100 times. */
export const askedUntil =
  (said: string) =>
  async (target: Target): Promise<readonly SeenOutcome[]> => {
    const outcomes: SeenOutcome[] = [];
    for (let nth = 0; nth < 100 && !outcomes.at(-1)?.error?.includes(said); nth++) {
      outcomes.push(await target.ask({ nth }));
    }
    return outcomes;
  };

/** Its web resource is asked, and may break off: then the answer has the status 0 and says how. */
export const whenRequestedToTheEnd = (target: Target): Promise<Answer> =>
  whenRequested(target).catch((error: Error) => ({ status: 0, headers: {}, body: error.message }));

// What may become of them

/** The configuration with it was refused, and it was named. */
export const refused =
  (code: string, text = /(?:)/): Expectation =>
  ({ id, start }) =>
    start.problems.some((problem) => problem.code === code && problem.module === id && text.test(problem.message))
      ? undefined
      : `it was not refused with ${code}: ${JSON.stringify(start.problems)}`;

/** The last time that it was asked, it failed so. */
export const failed =
  (kind: FailureKind, text = /(?:)/): Expectation =>
  ({ id, answer }) => {
    const failures = outcomeOf(answer)?.failures ?? [];
    return failures.some((failure) => failure.module === id && failure.kind === kind && text.test(failure.message))
      ? undefined
      : `the call did not fail with ${kind}: ${said(answer)}`;
  };

/** It answered, in so many words. */
export const answered =
  (text: RegExp): Expectation =>
  ({ answer }) => {
    const words = isAnswer(answer) ? `${answer.status} ${answer.body}` : (outcomeOf(answer)?.error ?? '');
    return text.test(words) ? undefined : `it did not answer ${text}: ${said(answer)}`;
  };

/** It was asked and let pass, without a failure. */
export const allowed: Expectation = ({ answer }) => {
  const outcome = outcomeOf(answer);
  return outcome?.allowed === true && outcome.failures.length === 0 ? undefined : `it was not allowed: ${said(answer)}`;
};

/** Its web resource was answered for with that status. */
export const status =
  (expected: number): Expectation =>
  ({ answer }) =>
    isAnswer(answer) && answer.status === expected ? undefined : `the status was not ${expected}: ${said(answer)}`;

/** Its cell was ended, and the log names it with the reason. */
export const ended =
  (reason: RegExp): Expectation =>
  ({ id, log, cells }) => {
    const told = log.some(({ module, message: text }) => module === id && /is ended: /.test(text) && reason.test(text));
    const lost = cells.some(({ module, state, cause }) => module === id && state !== 'running' && reason.test(cause));
    return told || lost ? undefined : `its cell was not ended with ${reason}`;
  };

/** Its hull ended, and it is named. `known`: without a doubt. */
export const hullEnded =
  ({ known, cause = /(?:)/ }: { readonly known?: true; readonly cause?: RegExp } = {}): Expectation =>
  ({ id, hulls }) =>
    hulls.some((hull) => hull.modules.includes(id) && (hull.known || known !== true) && cause.test(hull.cause))
      ? undefined
      : `no hull ended because of it: ${JSON.stringify(hulls)}`;

/** A line about it in the log. */
export const logged =
  (text: RegExp): Expectation =>
  ({ id, log }) =>
    log.some((line) => line.module === id && text.test(line.message)) ? undefined : `nothing was logged like ${text}`;

/** It is in that state. */
export const inState =
  (...states: readonly string[]): Expectation =>
  (seen) => {
    const state = stateOf(seen);
    return states.includes(String(state)) ? undefined : `it is ${state}, not ${states.join(' or ')}`;
  };

/** It is there in a life that the attack has not touched. */
export const restarted: Expectation = (seen) => {
  const module = seen.host?.status.find(({ id }) => id === seen.id);
  // Who was moved to another hull meanwhile lives on there, while his old life ends, or the hull around it.
  const isElsewhere = seen.hulls.some(({ pid }) => pid !== module?.hullPid);
  const isReplaced = seen.log.some(
    ({ module: id, message }) => id === seen.id && / (is ended|was lost)\b/.test(message),
  );
  if (module?.state === 'running' && (module.restarts > 0 || isElsewhere || isReplaced)) return undefined;
  return `it was not restarted: ${module?.state}, ${module?.restarts} restarts; ${JSON.stringify(seen.log).slice(-500)}`;
};

/** It lives on in its first life. */
export const livesOn: Expectation = (seen) => {
  const module = seen.host?.status.find(({ id }) => id === seen.id);
  return module?.state === 'running' && module.restarts === 0
    ? undefined
    : `it does not live on: ${module?.state}, ${module?.restarts} restarts`;
};

/** One of them; how it comes is up to the version of Node, or to chance. */
export const either =
  (...expectations: readonly Expectation[]): Expectation =>
  (seen) => {
    const amiss = expectations.map((expect) => expect(seen));
    return amiss.includes(undefined) ? undefined : amiss.join('; ');
  };

export const all =
  (...expectations: readonly Expectation[]): Expectation =>
  (seen) =>
    expectations.map((expect) => expect(seen)).find((amiss) => amiss !== undefined);

// How an attack shows that succeeds

/** A thread goes on and on: the host and its hulls, which have nothing to do, use a good part of a core. */
export const burns: Expectation = ({ cores }) =>
  cores > 0.4 ? undefined : `only ${cores.toFixed(2)} cores are in use`;

/** Nobody ends it. */
export const notEnded: Expectation = (seen) => {
  const wasEnded = ended(/(?:)/)(seen) === undefined || hullEnded()(seen) === undefined;
  return wasEnded ? 'it was ended' : undefined;
};

/** The host's process is gone. */
export const hostDies: Expectation = ({ exit }) => (exit === undefined ? 'the host lives' : undefined);

/** The host does not answer, or its event loop stood still for so long. */
export const hostStalls =
  (ms: number): Expectation =>
  ({ host, exit, probed }) =>
    exit !== undefined || host === undefined || host.delayMs.max > ms || (probed?.host.max ?? 0) > ms
      ? undefined
      : `the host was not held up for ${ms} ms, at most ${host.delayMs.max.toFixed(0)}`;

/** Good modules fail, or give wrong answers. */
export const neighboursSuffer: Expectation = ({ probed }) =>
  probed !== undefined && probed.lost.length + probed.wrong.length > 0 ? undefined : 'the good modules did not suffer';

function stateOf({ host, id }: Seen): string | undefined {
  return host?.status.find((module) => module.id === id)?.state;
}

function outcomeOf(answer: unknown): SeenOutcome | undefined {
  const last: unknown = Array.isArray(answer) ? answer.at(-1) : answer;
  return typeof last === 'object' && last !== null && 'failures' in last ? (last as SeenOutcome) : undefined;
}

const isAnswer = (answer: unknown): answer is Answer =>
  typeof answer === 'object' && answer !== null && 'status' in answer && 'body' in answer;

const said = (answer: unknown): string =>
  (answer instanceof Error ? String(answer) : (JSON.stringify(answer) ?? 'nothing')).slice(0, 500);
