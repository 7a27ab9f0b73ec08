// Compares Bulkhead, with every guard on, with what one would otherwise reach for: `npm run bench -- --help`.

import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { goalsText, tablesText, writeResults } from './render.ts';
import type { Findings, Goal, Plan, Table, Workload } from './workload.ts';
import { budget } from './workloads/budget.ts';
import { contest } from './workloads/contest.ts';
import { decided, fanOut } from './workloads/fan-out.ts';
import { inside } from './workloads/inside.ts';
import { instances } from './workloads/instances.ts';
import { keeping } from './workloads/keeping.ts';
import { moduleApi } from './workloads/module-api.ts';
import { roomState } from './workloads/room-state.ts';
import { start } from './workloads/start.ts';
import { web } from './workloads/web.ts';

const workloads: Readonly<Record<string, Workload>> = {
  contest,
  budget,
  'fan-out': fanOut,
  decided,
  'room-state': roomState,
  web,
  'module-api': moduleApi,
  inside,
  instances,
  keeping,
  start,
};

export const resultsFile = fileURLToPath(new URL('./results.json', import.meta.url));

/** What one run of all workloads found, as it is written to a file. */
export interface Results {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly rounds: number;
  readonly ms: number;
  readonly guards: readonly string[];
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

const HELP = `npm run bench -- [options]

  --only NAME     one workload: ${Object.keys(workloads).join(', ')}
  --rounds N      how often each contender has its turn (7)
  --ms N          how long a turn is, in milliseconds (400)
  --short         only sees that all of it works
  --json FILE     where the figures go; without --only and --short to tests/bench/results.json, and docs/performance.md is written
  --page          writes docs/performance.md from the figures of the last run, without a new one
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
      help: { type: 'boolean', default: false },
    },
  });
  const { only, short } = values;
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (only !== undefined && !Object.hasOwn(workloads, only)) {
    process.stderr.write(`there is no workload "${only}"\n\n${HELP}`);
    process.exitCode = 2;
    return;
  }
  const isWhole = only === undefined && !short && values.json === undefined;
  if (!values.page) {
    const plan: Plan = {
      rounds: Number(values.rounds ?? (short ? 1 : 7)),
      ms: Number(values.ms ?? (short ? 40 : 400)),
      short,
      tell: (line) => process.stderr.write(`${pc.dim(line)}\n`),
    };
    const results = await run(plan, only === undefined ? Object.keys(workloads) : [only]);
    const file = values.json ?? (isWhole ? resultsFile : undefined);
    if (file !== undefined) writeResults(file, results);
  }
  if (values.page || isWhole) {
    const page = fileURLToPath(new URL('./page.ts', import.meta.url));
    execFileSync(process.execPath, ['--import=tsx', page], { stdio: 'inherit' });
  }
}

async function run(plan: Plan, names: readonly string[]): Promise<Results> {
  const { layers } = await import(new URL('./layers.js', import.meta.resolve('@bulkhead/runtime')).href);
  const off: readonly string[] = layers.off();
  const found: Findings[] = [];
  for (const name of names) {
    const findings = await (workloads[name] as Workload)(plan);
    found.push(findings);
    process.stdout.write(tablesText(findings.tables));
  }
  // Of what was left out nothing is known.
  const goals = found.flatMap(({ goals }) => goals).filter(({ ratio }) => ratio.length > 0);
  process.stdout.write(goalsText(goals));
  process.stdout.write(`\nGuards that were off: ${off.length === 0 ? 'none' : off.join(', ')}\n`);
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    rounds: plan.rounds,
    ms: plan.ms,
    guards: off,
    tables: found.flatMap(({ tables }) => tables),
    goals,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
