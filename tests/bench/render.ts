// Figures as text.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import pc from 'picocolors';
import { median, type Rounds } from './measure.ts';
import type { Goal, Table } from './workload.ts';

/** By its median. */
export function reached({
  ratio,
  atMost = Number.POSITIVE_INFINITY,
  atLeast = Number.NEGATIVE_INFINITY,
}: Goal): boolean {
  const seen = median(ratio);
  return seen <= atMost && seen >= atLeast;
}

/** From the least to the most of all rounds. */
export function spread(rounds: Rounds): string {
  return rounds.length < 2 ? '' : `(${figure(Math.min(...rounds))} to ${figure(Math.max(...rounds))})`;
}

export function figure(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Number(value.toFixed(digits)).toLocaleString('en', { maximumFractionDigits: digits });
}

/** What was left out is `null` in a file. */
export const cellText = (rounds: Rounds | null | undefined): string =>
  rounds == null || rounds.length === 0 ? '' : [figure(median(rounds)), spread(rounds)].filter(Boolean).join(' ');

function textTable({ columns, rows, unit }: Table): string {
  const lines = [[unit, ...columns], ...rows.map(({ name, cells }) => [name, ...cells.map(cellText)])];
  const widths = [unit, ...columns].map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

/** Tables and goals as a terminal shows them. */
export const tablesText = (tables: readonly Table[]): string =>
  tables.map((table) => `\n${pc.bold(table.title)}\n\n${textTable(table)}\n`).join('');

export const goalsText = (goals: readonly Goal[]): string =>
  `\n${pc.bold('Goals')}\n\n${goals.map((goal) => `${goalText(goal)}\n`).join('')}`;

function goalText(goal: Goal): string {
  const mark = reached(goal) ? pc.green('reached') : pc.yellow('missed ');
  return `${mark}  ${goal.what}: ${median(goal.ratio).toFixed(2)} ${pc.dim(spread(goal.ratio))}, ${aim(goal)}`;
}

const aim = ({ atMost, atLeast }: Goal): string => (atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`);

/** As JSON, with five digits of each figure. */
export function writeResults(file: string, results: object): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, rounded)}\n`);
  process.stderr.write(`written to ${file}\n`);
}

const rounded = (_: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(5)) : value;

export const goalsTable = (goals: readonly Goal[]): string =>
  rows(
    ['goal', 'seen', 'aim', ''],
    goals.map((goal) => [
      goal.what,
      `${figure(median(goal.ratio))} ${spread(goal.ratio)}`,
      aim(goal),
      reached(goal) ? 'reached' : '**missed**',
    ]),
  );

export const markdown = ({ unit, columns, rows: all }: Table): string =>
  rows(
    [unit, ...columns],
    all.map(({ name, cells }) => [name, ...cells.map(cellText)]),
  );

const rows = (head: readonly string[], body: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
