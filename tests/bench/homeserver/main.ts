// Measures the example homeserver: what five modules cost its throughput, and whether a large room costs more than a small
// one. `npm run bench:homeserver -- --help`.

import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { goalsText, tablesText, writeResults } from '../render.ts';
import type { Goal, Plan, Table } from '../workload.ts';
import { size } from './size.ts';
import { throughput } from './throughput.ts';

export const resultsFile = fileURLToPath(new URL('./results.json', import.meta.url));

/** What one run found, as it is written to a file. */
export interface Results {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly storage: string;
  readonly rounds: number;
  readonly ms: number;
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

const workloads = ['throughput', 'size'] as const;

const HELP = `npm run bench:homeserver -- [options]

  --only NAME     one of: ${workloads.join(', ')}
  --rounds N      how often each has its turn (7)
  --ms N          how long a turn of sending messages is, in milliseconds (2000)
  --short         only sees that all of it works
  --json FILE     where the figures go; without --only and --short to tests/bench/homeserver/results.json, and
                  docs/homeserver-performance.md is written
  --page          writes that page from the figures of the last run, without a new one
  --profile DIR   the homeservers write profiles of their processor time there, which slows them down

  DATABASE_URL in the environment: databases on that PostgreSQL server, made for the time, instead of the embedded one
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      ms: { type: 'string' },
      short: { type: 'boolean', default: false },
      json: { type: 'string' },
      page: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { only, short, json, profile } = values;
  if (values.help || (only !== undefined && !workloads.some((name) => name === only))) {
    process.stdout.write(HELP);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const isWhole = only === undefined && !short && json === undefined && profile === undefined;
  if (!values.page) {
    const plan: Plan = {
      rounds: Number(values.rounds ?? (short ? 1 : 7)),
      ms: Number(values.ms ?? (short ? 200 : 2000)),
      short,
      tell: (line) => process.stderr.write(`${pc.dim(line)}\n`),
    };
    const results = await run(plan, only, profile);
    const file = json ?? (isWhole ? resultsFile : undefined);
    if (file !== undefined) writeResults(file, results);
  }
  if (values.page || isWhole) {
    const page = fileURLToPath(new URL('./page.ts', import.meta.url));
    execFileSync(process.execPath, ['--import=tsx', page], { stdio: 'inherit' });
  }
}

async function run(plan: Plan, only: string | undefined, profile: string | undefined): Promise<Results> {
  const nodeArgs = (name: string) =>
    profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}.cpuprofile`];
  const found = [
    ...(only === 'size' ? [] : [await throughput(plan, nodeArgs)]),
    ...(only === 'throughput' ? [] : [await size(plan)]),
  ];
  const tables = found.flatMap((each) => each.tables);
  const goals = found.flatMap((each) => each.goals);
  process.stdout.write(`${tablesText(tables)}${goalsText(goals)}`);
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    storage: process.env.DATABASE_URL ? 'PostgreSQL' : 'the embedded database (PGlite), in a folder',
    rounds: plan.rounds,
    ms: plan.ms,
    tables,
    goals,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
