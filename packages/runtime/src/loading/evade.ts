// SES refuses a script in which it sees `import(`, an HTML comment or a direct `eval(`, even inside a string. What is only
// text is rewritten here, without a change of meaning; what is code, or cannot be rewritten, is a fault with its place.

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EvadeCensorOptions } from '@endo/evasive-transform';
import type { Fault } from '../config/entry.js';
import type { Built } from './build.js';
import { type LoadFailure, messageAt } from './failure.js';
import { type OriginalPosition, originalPosition } from './stack.js';

/** SES's own patterns (ses/src/transforms.js), with what each of them means to a module's author. */
const CENSORED = [
  { pattern: /(?:<!--|-->)/, what: 'the text of an HTML comment' },
  { pattern: /(?:^|[^.]|\.\.\.)\bimport(?:\s*(?:\(|\/[/*]))/, what: 'import()' },
  { pattern: /(?:^|[^.])\beval(?:\s*\()/, what: 'a direct eval()' },
] as const;

export async function evadeCensorship(built: Built, file: string): Promise<Built | LoadFailure> {
  // Parsing a large bundle takes seconds, and most have nothing to evade.
  if (!CENSORED.some(({ pattern }) => pattern.test(built.script))) return built;
  // And its parser takes longer to load than most modules to bundle.
  const { evadeCensorSync } = await import('@endo/evasive-transform');
  const found: Finding[] = [];
  const evaded = evadeCensorSync(built.script, {
    sourceType: 'script',
    sourceUrl: file,
    sourceMap: built.sourceMap,
    customVisitor: visitor(found),
  });
  const result: Built = { ...built, script: evaded.code.trimEnd(), sourceMap: JSON.stringify(evaded.map) };
  if (found.length > 0) return { ok: false, faults: found.map((finding) => faultOf(finding, built.sourceMap, file)) };
  const left = findLeft(result.script);
  return left ? { ok: false, faults: [faultOf(left, result.sourceMap, file)] } : result;
}

interface Finding {
  readonly message: string;
  readonly hint: string;
  /** In the script; from 1 and from 0, as in Babel. */
  readonly line: number;
  readonly column: number;
}

type Visitor = NonNullable<EvadeCensorOptions['customVisitor']>;

/** Finds what is code, and rewrites what the transform passes over. */
const visitor =
  (found: Finding[]): Visitor =>
  (path) => {
    const { node } = path;
    const { line, column } = node.loc?.start ?? { line: 1, column: 0 };
    if (node.type === 'Import' || node.type === 'ImportExpression') {
      found.push({ ...realImport, line, column });
    } else if (node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === 'eval') {
      found.push({ ...directEval, line, column });
    } else if ('key' in node && node.key && typeof node.key === 'object' && node.key.type === 'StringLiteral') {
      // The transform splits a string into a sum, which a key can be only in brackets.
      if ('computed' in node && CENSORED.some(({ pattern }) => pattern.test(` ${keyValue(node.key)}`)))
        node.computed = true;
    }
    if (node.type === 'StringLiteral' && PASSED_OVER.test(node.value)) {
      node.extra = { ...node.extra, rawValue: node.value, raw: spelt(JSON.stringify(node.value)) };
    } else if (node.type === 'TemplateElement' && !path.parentPath?.parentPath?.isTaggedTemplateExpression()) {
      node.value.raw = spelt(node.value.raw);
    } else if (node.type === 'RegExpLiteral') {
      node.pattern = spelt(node.pattern);
      delete node.extra;
    } else if (node.type === 'PrivateName' && (node.id.name === 'import' || node.id.name === 'eval')) {
      node.id.name = `\\u00${node.id.name.charCodeAt(0).toString(16)}${node.id.name.slice(1)}`;
    }
  };

const keyValue = (key: object): string => ('value' in key ? String(key.value) : '');

const PASSED_OVER = /\beval(?=\s*\()|\bimport(?=\s*\/[/*])/;
const PASSED_OVERS = new RegExp(String.raw`(\\*)(${PASSED_OVER.source})`, 'g');

/** The same text, its first letter by its number. A backslash before a letter that needs none goes with it. */
const spelt = (raw: string): string =>
  raw.replace(PASSED_OVERS, (_, slashes: string, word: string) => {
    const kept = slashes.slice(0, slashes.length - (slashes.length % 2));
    return `${kept}\\x${word.charCodeAt(0).toString(16)}${word.slice(1)}`;
  });

const realImport = {
  message: 'import() cannot be carried out in a compartment',
  hint: 'import it at the top of the file: everything is bundled into one script',
};
const directEval = { message: 'eval() cannot be carried out in a compartment', hint: 'write the code out' };

function findLeft(script: string): Finding | undefined {
  for (const { pattern, what } of CENSORED) {
    const match = pattern.exec(script);
    if (!match) continue;
    const before = script.slice(0, match.index + match[0].length).split('\n');
    return {
      message: `this may be ${what}, which a compartment refuses even where it is only text`,
      hint: 'write it in pieces, such as "<" + "!--"',
      line: before.length,
      column: (before.at(-1)?.length ?? 1) - 1,
    };
  }
  return undefined;
}

function faultOf({ message, hint, line, column }: Finding, sourceMap: string, file: string): Fault {
  const place = originalPosition(sourceMap, line, column + 1);
  if (!place) return { code: 'BundleFailed', message, hint };
  return {
    code: 'BundleFailed',
    message: messageAt(message, { ...place, lineText: lineOf(place) }, dirname(file)),
    hint,
  };
}

function lineOf({ file, line }: OriginalPosition): string {
  try {
    return readFileSync(file, 'utf8').split(/\r\n|\n|\r/)[line - 1] ?? '';
  } catch {
    return '';
  }
}
