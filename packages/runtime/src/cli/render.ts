// What the program prints. Much of it comes from modules, so no control character gets to the terminal.

import type { PermissionGroup } from '@bulkhead/sdk/contract';
import picocolors from 'picocolors';
import { groupsOf, withoutUsual } from '../api/permissions.js';
import type { Problem } from '../config/entry.js';
import { formatProblems, printable } from '../config/problem.js';
import type { Check, CheckedModule, Note } from './check.js';

interface Style {
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
  const rows: [label: string, lines: readonly string[]][] = [
    ['callbacks', callbacks],
    ['resources', resources.map(printable)],
    ['asks for', renderGroups(groupsOf(permissions.asked))],
    ['granted', renderGroups(granted, unaskedMark)],
    ['set up in', state === 'ready' ? [`${startMs} ms`] : []],
    ['memory', state === 'ready' ? [`${used} of ${mebibytes(memoryLimit)} MiB`] : []],
    ['notes', renderNotes(module.notes, paint)],
  ];
  return [
    title.filter(Boolean).join('  '),
    ...rows.flatMap(([label, lines]) =>
      lines.map((line, index) => `  ${paint.dim((index === 0 ? label : '').padEnd(12))}${line}`),
    ),
  ].join('\n');
}

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
