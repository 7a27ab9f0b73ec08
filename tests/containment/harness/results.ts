// What was seen, kept for the table in docs/security.md.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const resultsFolder = fileURLToPath(new URL('../results/', import.meta.url));

/** Raw, of one attack: milliseconds and MiB. */
export interface Figures {
  /** From the reload that brought the attacker in until what must hold held. */
  readonly tookMs: number;
  readonly hostRestP99Ms: number;
  readonly hostP99Ms: number;
  readonly hostMaxMs: number;
  /** The longest that the host's event loop stood still. */
  readonly stallMs: number;
  readonly neighboursP99Ms: number;
  readonly neighboursMaxMs: number;
  readonly bystanderP99Ms: number;
  /** Calls of good modules that were running when a hull ended, and failed. */
  readonly lost: number;
  readonly peakMiB: number;
  readonly hullsPeakMiB: number;
}

export interface Held {
  readonly holds: boolean;
  readonly figures: Figures | undefined;
}

export interface AttackResult {
  readonly attack: string;
  readonly layer: string;
  /** What `containment: thread` loses. */
  readonly lost?: string;
  process?: Held;
  thread?: Held;
  without?: { readonly layers: readonly string[]; readonly succeeds: boolean };
}

export interface ClassResults {
  readonly class: string;
  readonly node: string;
  readonly attacks: readonly AttackResult[];
}

export const nodeMajor = (version = process.versions.node): string => version.split('.')[0] as string;

/** Of attacks that were tried alone, the results take the place of their earlier ones. */
export async function writeResults(name: string, tried: readonly AttackResult[]): Promise<void> {
  const folder = join(resultsFolder, nodeMajor());
  const file = join(folder, `${name}.json`);
  await mkdir(folder, { recursive: true });
  const earlier = await readFile(file, 'utf8').then(
    (text) => (JSON.parse(text) as ClassResults).attacks,
    () => [],
  );
  const fresh = new Map(tried.map((result) => [result.attack, result]));
  const known = new Set(earlier.map(({ attack }) => attack));
  const isPart = tried.length > 0 && tried.every(({ attack }) => known.has(attack));
  const attacks = isPart ? earlier.map((result) => fresh.get(result.attack) ?? result) : tried;
  const results: ClassResults = { class: name, node: process.versions.node, attacks };
  await writeFile(file, `${JSON.stringify(results, null, 2)}\n`);
}
