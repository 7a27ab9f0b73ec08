// The tables of docs/security.md, from what the suite saw: `node --import=tsx containment/report.ts`, after a run.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../docs/markdown.ts';
import { formatted } from '../docs/reference.ts';
import { type AttackResult, type ClassResults, type Figures, type Held, resultsFolder } from './harness/results.ts';

const page = 'docs/security.md';
const BEGIN = '<!-- Written by `npm run test:nodes` from here on. -->';
const END = '<!-- Until here. -->';

type ByNode = ReadonlyMap<string, readonly ClassResults[]>;

/** What was seen, by the major version of Node. */
export function readResults(): ByNode {
  const majors = readdirSync(resultsFolder).sort((a, b) => Number(a) - Number(b));
  return new Map(
    majors.map((major) => {
      const folder = join(resultsFolder, major);
      const files = readdirSync(folder).sort();
      return [major, files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as ClassResults)];
    }),
  );
}

export function render(results: ByNode): string {
  const classes = [...new Set([...results.values()].flatMap((all) => all.map((each) => each.class)))];
  return [
    versions(results),
    ...classes.flatMap((name) => [`### ${name[0]?.toUpperCase()}${name.slice(1)}`, table(name, results)]),
    '### Figures',
    'The worst of all attacks with `containment: process`, in milliseconds and MiB, on the machine that wrote this page; the p99 of a process that has nothing to do with it stands beside the homeserver’s own, and says how busy the machine was.',
    figures(results),
  ].join('\n\n');
}

const versions = (results: ByNode): string =>
  `Seen on Node ${[...results.values()].map(([first]) => first?.node).join(', ')}.`;

function table(name: string, results: ByNode): string {
  const majors = [...results.keys()];
  const of = (major: string, attack: string): AttackResult | undefined =>
    results
      .get(major)
      ?.find((each) => each.class === name)
      ?.attacks.find((each) => each.attack === attack);
  const attacks = new Map(
    majors.flatMap((major) =>
      (results.get(major)?.find((each) => each.class === name)?.attacks ?? []).map((attack) => [attack.attack, attack]),
    ),
  );
  const rows = [...attacks.values()].map((attack) => [
    escaped(attack.attack),
    attack.layer,
    ...majors.map((major) => word(of(major, attack.attack)?.process)),
    attack.lost ?? [...new Set(majors.map((major) => word(of(major, attack.attack)?.thread)))].join(', '),
    attack.without === undefined ? '' : attack.without.layers.map((layer) => `\`${layer}\``).join(', '),
  ]);
  return markdown(['attack', 'stopped by', ...majors, '`containment: thread`', 'succeeds without'], rows);
}

function figures(results: ByNode): string {
  const worst = (all: readonly ClassResults[], of: (figures: Figures) => number): string => {
    const seen = all.flatMap(({ attacks }) => attacks.flatMap(({ process }) => process?.figures ?? []));
    return String(Math.round(Math.max(...seen.map(of))));
  };
  const columns: readonly (readonly [string, (figures: Figures) => number])[] = [
    ['host p99', ({ hostP99Ms }) => hostP99Ms],
    ['host p99 at rest', ({ hostRestP99Ms }) => hostRestP99Ms],
    ['bystander p99', ({ bystanderP99Ms }) => bystanderP99Ms],
    ['event loop stood still', ({ stallMs }) => stallMs],
    ['good modules p99', ({ neighboursP99Ms }) => neighboursP99Ms],
    ['good calls lost with a hull', ({ lost }) => lost],
    ['host memory', ({ peakMiB }) => peakMiB],
    ['memory of all hulls', ({ hullsPeakMiB }) => hullsPeakMiB],
  ];
  return markdown(
    ['Node', ...columns.map(([name]) => name)],
    [...results].map(([major, all]) => [major, ...columns.map(([, of]) => worst(all, of))]),
  );
}

const word = (held: Held | undefined): string => (held === undefined ? '' : held.holds ? 'held' : '**got through**');

const escaped = (text: string): string => text.replace(/[|<>*_`]/g, '\\$&');

const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const file = join(root, page);
  const [before = ''] = readFileSync(file, 'utf8').split(BEGIN);
  writeFileSync(file, formatted(page, `${before}${BEGIN}\n\n${render(readResults())}\n\n${END}`));
}
