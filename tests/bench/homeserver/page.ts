// docs/homeserver-performance.md, from the figures of the last whole run.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../../docs/markdown.ts';
import { formatted } from '../../docs/reference.ts';
import { goalsTable, markdown } from '../render.ts';
import { type Results, resultsFile } from './main.ts';

const page = 'docs/homeserver-performance.md';
const BEGIN = '<!-- Written by `npm run bench:homeserver` from here on. -->';

export const readResults = (): Results => JSON.parse(readFileSync(resultsFile, 'utf8')) as Results;

/** The page as it is, with the figures in their place. */
export function render(before: string, { node, cpu, cores, storage, rounds, ms, tables, goals }: Results): string {
  const [head = ''] = before.split(BEGIN);
  const parts = [
    `Node ${node}, ${cores} cores of ${cpu}; storage: ${storage}. Medians of ${rounds} rounds, with messages for ${ms} ms in each, in brackets the least and the most.`,
    '### Goals',
    goalsTable(goals),
    ...tables.flatMap((table) => [`### ${table.title}`, markdown(table)]),
  ];
  return formatted(page, `${head}${BEGIN}\n\n${parts.join('\n\n')}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = join(root, page);
  writeFileSync(file, render(readFileSync(file, 'utf8'), readResults()));
}
