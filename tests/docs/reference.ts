// The pages that are written by a loop over the tables. As a program it writes them; a test holds them against the tables.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type AnswerSpec,
  type Category,
  callbackNames,
  callbacks,
  EmailThreepid,
  EventData,
  EventId,
  FileInfo,
  type JoinName,
  JsonObject,
  moduleApiMethods,
  permissionGroups,
  Requester,
  RequestInfo,
  RoomAlias,
  RoomId,
  type Row,
  ServerName,
  StateLookup,
  snakeCase,
  UserId,
  UserPresenceState,
  UserProfile,
} from '@bulkhead/sdk/contract';
import { MediaSource } from '../../packages/sdk/src/contract/shapes.ts';
import { root } from './markdown.ts';

export const pages: Readonly<Record<string, () => string>> = {
  'docs/callbacks.md': renderCallbacks,
  'docs/module-api.md': renderModuleApi,
};

const GENERATED = '<!-- Written by `npm run docs` from the tables in packages/sdk/src/contract. -->';

// --- Callbacks ---

const categories: Record<Category, { readonly title: string; readonly registration: string }> = {
  spamChecker: { title: 'Spam checker', registration: 'registerSpamCheckerCallbacks' },
  accountValidity: { title: 'Account validity', registration: 'registerAccountValidityCallbacks' },
  thirdPartyRules: { title: 'Third-party rules', registration: 'registerThirdPartyRulesCallbacks' },
  presenceRouter: { title: 'Presence router', registration: 'registerPresenceRouterCallbacks' },
};

const joinTexts: Record<JoinName, string> = {
  firstRejection: 'Allowed unless a module refuses; of several refusals the first in configuration order counts.',
  firstAnswer: 'The first module in configuration order that has an opinion decides.',
  firstReplacement: 'One after another. The first refusal or the first replacement ends it.',
  waterfall: 'One after another; each gets what the one before it returned. A refusal ends it.',
  union: 'What all modules answer, united.',
  notify: 'All are told. Nobody can refuse.',
};

const verdicts = 'a verdict, `[Codes.X, extra]`';

const answerTexts: Record<AnswerSpec['kind'], (answer: AnswerSpec) => string> = {
  check(answer) {
    const { rejects, text } = answer as Extract<AnswerSpec, { kind: 'check' }>;
    const reason = text === 'reason' ? '; a text **refuses** with that reason' : '';
    return `\`true\` **${rejects ? 'refuses' : 'allows'}**, \`false\` **${rejects ? 'allows' : 'refuses'}**${reason}; or ${verdicts}`;
  },
  registration: () => '`RegistrationBehaviour.ALLOW` (no opinion), `SHADOW_BAN` or `DENY`; or `allow()`, `deny()`',
  expiry: () => '`true` expired, `false` valid, `null` or `undefined` no opinion',
  nothing: () => 'nothing',
  replacement: () =>
    `\`true\` **allows**, \`false\` **refuses**, \`[true, dict]\` allows with the event replaced, \`[true, null]\` allows; or ${verdicts}`,
  content: () => 'nothing, or the changed content',
  usersForStates: () => 'a Map or an object from user ids to Sets or lists of states, of those that were given',
  interestedUsers: () => 'a Set or a list of user ids, or `PRESENCE_ALL_USERS`',
};

function renderCallbacks(): string {
  const names = Object.keys(categories) as Category[];
  return [
    '# Callbacks',
    GENERATED,
    'Every callback, by category. How a module registers and answers is told [for authors](authors.md), where a homeserver asks [for\nhomeserver developers](embedders.md#where-to-ask).',
    summary(),
    ...names.flatMap((category) => [
      `## ${categories[category].title}`,
      `Registered with \`${categories[category].registration}\`.`,
      ...callbackNames.filter((name) => callbacks[name].category === category).map((name) => renderRow(name)),
    ]),
    '## Data',
    "Data that Matrix defines keeps its wire names; what is ours is in camelCase. Every argument is the module's own copy.",
    ...Object.entries(shapes).map(([name, schema]) => renderShape(name, schema)),
  ].join('\n\n');
}

function summary(): string {
  const rows = callbackNames.map((name) => {
    const row: Row = callbacks[name];
    const refusal = row.refusal === undefined ? '' : `${row.refusal.status} \`${row.refusal.errcode}\``;
    return `| [${name}](#${name.toLowerCase()}) | ${refusal} | ${duration(row.timeout)} | ${failure(row)} |`;
  });
  return ['| callback | a refusal is | time | when a module fails |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function renderRow(name: keyof typeof callbacks): string {
  const row: Row = callbacks[name];
  const refusal = row.refusal && `${row.refusal.status} \`${row.refusal.errcode}\`, “${row.refusal.error}”`;
  const facts: [string, string | undefined][] = [
    ['arguments', row.args.map((arg) => `\`${arg.name}\`: ${argType(arg)}`).join('<br>')],
    ['answer', answerTexts[row.answer.kind](row.answer)],
    ['several modules', joinTexts[row.join]],
    ['a refusal is', refusal],
    ['when a module fails', failure(row)],
    ['time', `${duration(row.timeout)}`],
    ['largest answer', row.resultLimit === undefined ? '128 KiB' : `${row.resultLimit / 1024} KiB`],
    ['must come with', row.requires?.map((other) => `\`${other}\``).join(', ')],
    ['in the configuration', `\`${snakeCase(name)}\``],
    ['in Synapse since', row.since],
  ];
  return [
    `### ${name}`,
    row.doc,
    ...(row.warning === undefined ? [] : [`> [!WARNING]\n> ${row.warning}`]),
    table(facts),
  ].join('\n\n');
}

function table(facts: readonly (readonly [label: string, fact: string | undefined])[]): string {
  const rows = facts.flatMap(([label, fact]) => (fact ? [`| ${label} | ${fact} |`] : []));
  return ['| | |', '| --- | --- |', ...rows].join('\n');
}

function failure({ onFailure, failureRefusal }: Row): string {
  if (onFailure === 'skip') return 'left out, and logged';
  if (onFailure === 'allow') return '`allow`: as if it were not configured';
  const { status, errcode } = failureRefusal ?? { status: 500, errcode: 'M_UNKNOWN' };
  return `\`reject\`: ${status} \`${errcode}\``;
}

const duration = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`);

// --- ModuleApi ---

function renderModuleApi(): string {
  const source = readFileSync(join(root, 'packages/sdk/src/contract/module-api.ts'), 'utf8');
  const errors = readFileSync(join(root, 'packages/sdk/src/contract/errors.ts'), 'utf8');
  const methods = Object.entries(moduleApiMethods).flatMap(([name, { scope, of, args, result, doc }]) => [
    `### ${name}`,
    doc,
    table([
      ['arguments', args.map((schema) => code(typeOf(schema))).join('<br>')],
      ['result', code(typeOf(result))],
      ['permission', scope === 'none' ? 'none' : `\`${scope}\``],
      ['carried out by', `the ${of}`],
    ]),
  ]);
  return [
    '# The ModuleApi',
    GENERATED,
    'What a module may ask of the homeserver. `api` is given to the constructor of a class, or to `setup`.',
    '## For modules',
    ts('contract', excerpt(source, 'export interface ModuleApi {', '\n}\n')),
    '## Methods that are carried out by the host',
    "Each is checked: the permission, the arguments, and the result. A homeserver implements those that it carries out, as far as it\ncan; the others are the runtime's. `getUserByRequest` needs `users:read`, too; `fetch` needs `network` with the host.",
    ...methods,
    '## Permissions',
    'What a module may declare in `permissions`, and an admin grants in its entry.',
    permissions(),
    '## For homeservers',
    'The adapter has the methods above that the homeserver carries out, with these arguments and results, and:',
    ts(
      'contract',
      excerpt(source, 'export interface Homeserver extends', '\n}\n').replace(/ extends HomeserverMethods/, ''),
    ),
    '## Errors',
    'A call that was not carried out throws an `ApiError` with one of these codes. `errcode` is the Matrix error code that the homeserver gave.',
    ts('contract', excerpt(errors, 'export type ApiErrorCode =', ';\n')),
  ].join('\n\n');
}

function permissions(): string {
  const rows = Object.entries(permissionGroups).flatMap(([group, row]) =>
    row.kind === 'access'
      ? Object.entries(row.values).map(([value, doc]) => `| \`${group}: [${value}]\` | ${doc} |`)
      : `| \`${group}: ${examples[row.kind]}\` | ${row.doc} |`,
  );
  return ['| permission | lets the module |', '| --- | --- |', ...rows].join('\n');
}

const examples = { hosts: '[host, ...]', paths: '[path, ...]', size: '10MiB' } as const;

const ts = (prelude: string, text: string): string => `\`\`\`ts with=${prelude}\n${text.trimEnd()}\n\`\`\``;

function excerpt(source: string, from: string, to: string): string {
  const start = source.indexOf(from);
  const end = source.indexOf(to, start) + to.length;
  if (start < 0 || end < to.length) throw new Error(`there is no "${from}"`);
  return source.slice(start, end).replace(/^export /, '');
}

// --- Types ---

const shapes: Readonly<Record<string, unknown>> = {
  MatrixEvent: EventData,
  Requester,
  UserProfile,
  FileInfo,
  EmailThreepid,
  UserPresenceState,
};

const named = new Map<unknown, string>([
  ...Object.entries(shapes).map(([name, schema]): [unknown, string] => [schema, name]),
  [StateLookup, 'StateMap'],
  [MediaSource, 'MediaFile'],
  [RequestInfo, '[userAgent: string | null, ip: string][]'],
  [JsonObject, 'object'],
  ...[UserId, RoomId, RoomAlias, EventId, ServerName].map((id): [unknown, string] => [id, 'string']),
]);

const ids = new Map<unknown, string>([
  [UserId, 'a user id'],
  [RoomId, 'a room id'],
  [RoomAlias, 'a room alias'],
]);

function argType({ schema }: Row['args'][number]): string {
  const id = ids.get(schema);
  return `${code(typeOf(schema))}${id === undefined ? '' : `, ${id}`}`;
}

function renderShape(name: string, schema: unknown): string {
  const rows = Object.entries((schema as Schema).entries ?? {}).map(
    ([key, entry]) => `| \`${key}${entry.type === 'optional' ? '?' : ''}\` | ${code(typeOf(entry))} |`,
  );
  const helpers =
    name === 'MatrixEvent'
      ? '\n\nBesides its data an event has `isState()`, `membership` and `getDict()`, a copy to change.'
      : '';
  return `### ${name}\n\n${['| | |', '| --- | --- |', ...rows].join('\n')}${helpers}`;
}

/** What of a valibot schema is looked at here. */
interface Schema {
  readonly type: string;
  readonly wrapped?: Schema;
  readonly item?: Schema;
  readonly items?: readonly Schema[];
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
}

function typeOf(given: unknown): string {
  const name = named.get(given);
  if (name !== undefined) return name;
  const schema = given as Schema;
  switch (schema.type) {
    case 'nullable':
      return `${typeOf(schema.wrapped)} | null`;
    case 'optional':
      return typeOf(schema.wrapped);
    case 'array':
      return arrayOf(typeOf(schema.item));
    case 'tuple':
      return `[${(schema.items ?? []).map(typeOf).join(', ')}]`;
    case 'record':
      return 'object';
    case 'picklist':
      return (schema.options ?? []).map((option) => JSON.stringify(option)).join(' | ');
    case 'literal':
      return JSON.stringify(schema.literal);
    case 'strict_object':
      return `{ ${Object.entries(schema.entries ?? {})
        .map(([key, entry]) => `${key}${entry.type === 'optional' ? '?' : ''}: ${typeOf(entry)}`)
        .join('; ')} }`;
    default:
      return schema.type;
  }
}

const arrayOf = (type: string): string => (/[ |]/.test(type) && !/^[[{]/.test(type) ? `(${type})[]` : `${type}[]`);

/** In a table, a bar would end the cell. */
const code = (text: string): string => (text === '' ? '' : `\`${text.replaceAll('|', '\\|')}\``);

/** As the formatter of the repository has it. */
export function formatted(path: string, text: string): string {
  return execFileSync(join(root, 'node_modules/.bin/biome'), ['format', `--stdin-file-path=${path}`], {
    cwd: root,
    input: `${text}\n`,
    encoding: 'utf8',
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [path, render] of Object.entries(pages)) writeFileSync(join(root, path), formatted(path, render()));
}
