// docs/performance.md and its plots, from the figures of the last whole run.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { root } from '../docs/markdown.ts';
import { formatted } from '../docs/reference.ts';
import { type Results, resultsFile } from './main.ts';
import { median } from './measure.ts';
import { goalsTable, markdown } from './render.ts';
import type { Table } from './workload.ts';

const page = 'docs/performance.md';
const BEGIN = '<!-- Written by `npm run bench` from here on. -->';
const END = '<!-- Until here. -->';
const plots = 'docs/performance';

export const readResults = (): Results => JSON.parse(readFileSync(resultsFile, 'utf8')) as Results;

/** The page as it is, with the figures in their place. */
export function render(before: string, results: Results): string {
  const [head = ''] = before.split(BEGIN);
  const { node, cpu, cores, rounds, ms, guards } = results;
  const machine = `Node ${node}, ${cores} cores of ${cpu}. Medians of ${rounds} rounds of ${ms} ms, in brackets the least and the most. Guards that were off: ${guards.length === 0 ? 'none' : guards.join(', ')}.`;
  const parts = [
    machine,
    '### Goals',
    goalsTable(results.goals),
    ...results.tables.flatMap((table) => [`### ${table.title}`, ...pictureOf(table), markdown(table)]),
  ];
  return formatted(page, `${head}${BEGIN}\n\n${parts.join('\n\n')}\n\n${END}`);
}

/** Tables that say more as a picture. */
const pictures: Readonly<Record<string, { readonly alt: string; spec(table: Table): TopLevelSpec }>> = {
  'in-flight': {
    alt: 'Calls a second by contender, 256 in flight',
    spec: (table) => bars(table, '256', 'calls a second, 256 in flight'),
  },
  'in-flight-sizes': {
    alt: 'Calls a second by the size of the event',
    spec: (table) =>
      lines(
        table,
        ['Bulkhead', 'Bulkhead, threads', 'frames, socket', 'Piscina', 'Comlink', 'HTTP'],
        'event',
        'calls a second',
      ),
  },
  'fan-out': {
    alt: 'What a call costs the homeserver’s thread, by the number of modules',
    spec: (table) => growth(table),
  },
};

const pictureOf = ({ id, rows: { length } }: Table): readonly string[] => {
  const picture = pictures[id];
  return picture === undefined || length === 0 ? [] : [`![${picture.alt}](performance/${id}.svg)`];
};

function bars({ columns, rows: all }: Table, column: string, title: string): TopLevelSpec {
  const index = columns.indexOf(column);
  const values = all.flatMap(({ name, cells }) => {
    const rounds = cells[index];
    return rounds === undefined || name === 'function'
      ? []
      : [{ name, value: median(rounds), ours: name.startsWith('Bulkhead') }];
  });
  return {
    data: { values },
    mark: 'bar',
    encoding: {
      y: { field: 'name', type: 'nominal', sort: '-x', title: null },
      x: { field: 'value', type: 'quantitative', title },
      color: {
        field: 'ours',
        type: 'nominal',
        legend: null,
        scale: { domain: [true, false], range: ['#1f6f8b', '#b8c4c9'] },
      },
    },
  };
}

function lines({ columns, rows: all }: Table, names: readonly string[], x: string, y: string): TopLevelSpec {
  const values = all
    .filter(({ name }) => names.includes(name))
    .flatMap(({ name, cells }) =>
      columns.flatMap((column, index) => {
        const rounds = cells[index];
        return rounds === undefined ? [] : [{ name, x: column, y: median(rounds) }];
      }),
    );
  return {
    width: 480,
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'x', type: 'ordinal', sort: [...columns], title: x, axis: { labelAngle: 0 } },
      y: { field: 'y', type: 'quantitative', title: y, scale: { type: 'log' } },
      color: { field: 'name', type: 'nominal', title: null },
    },
  };
}

function growth({ rows: all }: Table): TopLevelSpec {
  const values = all
    .filter(({ name }) => /^\d+$/.test(name))
    .map(({ name, cells }) => ({ modules: Number(name), us: median(cells[0] ?? []) }));
  return {
    width: 480,
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'modules', type: 'quantitative', title: 'modules asked' },
      y: { field: 'us', type: 'quantitative', title: 'µs of the homeserver’s thread for a call' },
    },
  };
}

async function draw(table: Table): Promise<void> {
  const picture = pictures[table.id];
  if (picture === undefined) return;
  const { spec } = compile({ ...picture.spec(table), background: 'white' });
  const svg = await new View(parse(spec), { renderer: 'none' }).toSVG();
  writeFileSync(join(root, plots, `${table.id}.svg`), `${svg}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const results = readResults();
  mkdirSync(join(root, plots), { recursive: true });
  for (const table of results.tables) await draw(table);
  writeFileSync(join(root, page), render(readFileSync(join(root, page), 'utf8'), results));
}
