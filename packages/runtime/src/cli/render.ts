// What the program prints. Much of it comes from modules, so no control character gets to the terminal.

import type { PermissionGroup } from '@bulkhead/sdk/contract';
import picocolors from 'picocolors';
import { groupsOf, withoutUsual } from '../api/permissions.js';
import type { Problem } from '../config/entry.js';
import { formatProblems, printable } from '../config/problem.js';
import type { Change, DependencyChange, ModuleDifference } from '../integrity/compare.js';
import type { Check, CheckedModule, Note } from './check.js';
import type { Compared, Locked } from './integrity.js';

export interface Style {
  readonly color: boolean;
}
type Paint = ReturnType<typeof picocolors.createColors>;

export function renderCheck(file: string, { serverName, modules, notes }: Check, { color }: Style): string {
  const paint = picocolors.createColors(color);
  const ready = modules.filter(({ state }) => state === 'ready');
  const parked = modules.length - ready.length;
  const heading = `${paint.bold(printable(file))}: ${count(modules.length)} on ${printable(serverName)}`;
  const verdict =
    parked === 0
      ? paint.green(modules.length === 0 ? 'Nothing to set up.' : `${count(ready.length)} set up.`)
      : paint.yellow(`${count(ready.length)} set up, ${parked} parked.`);
  const paragraphs = [heading, ...modules.map((module) => renderModule(module, paint)), ...renderNotes(notes, paint)];
  return `${[...paragraphs, verdict].join('\n\n')}\n`;
}

export function renderProblems(problems: readonly Problem[], style: Style): string {
  const text = formatProblems(problems, style);
  const unsupported = problems.some(({ message }) => message.includes('does not support'));
  return `${text}\n${unsupported ? `\n${WITHOUT_HOMESERVER}\n` : ''}`;
}

export function renderDiff(compared: Compared, { color }: Style): string {
  const paint = picocolors.createColors(color);
  const lockFile = printable(compared.lockFile);
  if (!compared.different) return `${paint.green(`Nothing changed since ${lockFile} was written.`)}\n`;
  const what = compared.modules.length === 0 ? 'Bulkhead' : count(compared.modules.length);
  const verdict = paint.yellow(`${what} changed since ${lockFile} was written.`);
  return `${[...renderDifferences(compared, paint), verdict].join('\n\n')}\n`;
}

export function renderLock(locked: Locked, { color }: Style): string {
  const paint = picocolors.createColors(color);
  const written = `${count(locked.size)} in ${printable(locked.lockFile)}${locked.written ? '' : ', as before'}.`;
  return `${[...renderDifferences(locked, paint), paint.green(written)].join('\n\n')}\n`;
}

function renderDifferences({ runtime, modules }: Compared, paint: Paint): readonly string[] {
  const updated =
    runtime?.locked == null
      ? []
      : [`Bulkhead ${arrow(runtime)}: it writes the scripts, and may write them differently.`];
  return [...updated, ...modules.map((module) => renderDifference(module, paint))];
}

function renderDifference(module: ModuleDifference, paint: Paint): string {
  const { id, state, specifier, isolation, script, asks, granted, dependencies, files } = module;
  const title = [
    paint.bold(printable(id)),
    id === module.module ? '' : paint.dim(printable(module.module)),
    paint.yellow(`[${state}]`),
  ];
  if (state === 'gone') return title.filter(Boolean).join('  ');
  const added = (text: string): string => paint.green(`+ ${printable(text)}`);
  const removed = (text: string): string => paint.red(`- ${printable(text)}`);
  const changed = (text: string): string => paint.yellow(`~ ${printable(text)}`);
  return section(title, paint, [
    ['module', specifier?.locked == null ? [] : [arrow(specifier)]],
    ['isolation', isolation?.locked == null ? [] : [arrow(isolation)]],
    ['script', [script === null ? 'the same' : arrow(script)]],
    ['asks for', [...asks.added.map(added), ...asks.removed.map(removed)]],
    ['granted', [...granted.added.map(added), ...granted.removed.map(removed)]],
    ['packages', dependencies.map((one) => ({ added, removed, changed })[kindOf(one)](versionsOf(one)))],
    ['files', [...files.added.map(added), ...files.removed.map(removed), ...files.changed.map(changed)]],
    [
      '',
      state === 'changed' && isRuntimesDoing(module)
        ? ["no file of the module's changed: what Bulkhead makes of them did"]
        : [],
    ],
  ]);
}

const kindOf = ({ locked, found }: DependencyChange): 'added' | 'removed' | 'changed' =>
  locked.length === 0 ? 'added' : found.length === 0 ? 'removed' : 'changed';

function versionsOf({ name, locked, found }: DependencyChange): string {
  const [before, after] = [locked.join(', '), found.join(', ')];
  return `${name} ${before && after ? `${before} -> ${after}` : before || after}`;
}

const arrow = ({ locked, found }: Change): string =>
  [locked, found].flatMap((value) => (value === null ? [] : [printable(value)])).join(' -> ');

const isRuntimesDoing = ({ script, specifier, isolation, dependencies, files }: ModuleDifference): boolean =>
  script !== null &&
  specifier === null &&
  isolation === null &&
  dependencies.length + files.added.length + files.removed.length + files.changed.length === 0;

const WITHOUT_HOMESERVER =
  'check runs without a homeserver: a module that asks one for something while it is set up cannot be checked here.';

function renderModule(module: CheckedModule, paint: Paint): string {
  const { id, state, mode, callbacks, resources, permissions, startMs, memory, memoryLimit } = module;
  const marks = [mode === 'observe' ? 'observe' : '', state === 'parked' ? 'parked' : ''].filter(Boolean);
  const title = [
    paint.bold(printable(id)),
    id === module.module ? '' : paint.dim(printable(module.module)),
    marks.length === 0 ? '' : paint.yellow(`[${marks.join(', ')}]`),
  ];
  const used = memory === null ? 'memory unknown' : `${mebibytes(memory)} MiB`;
  // What every module is given is worth a line where it was asked for.
  const granted = groupsOf(permissions.granted).filter(
    ([group]) => permissions.asked[group] !== undefined || withoutUsual(permissions.granted)[group] !== undefined,
  );
  const unaskedMark = (group: PermissionGroup, value: string): string =>
    permissions.unasked[group]?.includes(value) ? paint.yellow(' (not asked for)') : '';
  return section(title, paint, [
    ['callbacks', callbacks],
    ['resources', resources.map(printable)],
    ['asks for', renderGroups(groupsOf(permissions.asked))],
    ['granted', renderGroups(granted, unaskedMark)],
    ['set up in', state === 'ready' ? [`${startMs} ms`] : []],
    ['memory', state === 'ready' ? [`${used} of ${mebibytes(memoryLimit)} MiB`] : []],
    ['notes', renderNotes(module.notes, paint)],
  ]);
}

type Row = readonly [label: string, lines: readonly string[]];

/** A title, and below it what is to be said about it. */
const section = (title: readonly string[], paint: Paint, rows: readonly Row[]): string =>
  [
    title.filter(Boolean).join('  '),
    ...rows.flatMap(([label, lines]) =>
      lines.map((line, index) => `  ${paint.dim((index === 0 ? label : '').padEnd(12))}${line}`),
    ),
  ].join('\n');

/** A line for each group. */
function renderGroups(
  groups: ReturnType<typeof groupsOf>,
  mark: (group: PermissionGroup, value: string) => string = () => '',
): readonly string[] {
  const lines = groups.map(
    ([group, values]) => `${group}: ${values.map((value) => printable(value) + mark(group, value)).join(', ')}`,
  );
  return lines.length === 0 ? ['nothing'] : lines;
}

function renderNotes(notes: readonly Note[], paint: Paint): readonly string[] {
  return notes.map(
    ({ level, message }) => `${level === 'warn' ? paint.yellow(level) : paint.red(level)}: ${printable(message)}`,
  );
}

const count = (modules: number): string => `${modules} ${modules === 1 ? 'module' : 'modules'}`;

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1).replace(/\.0$/, '');
