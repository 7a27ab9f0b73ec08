// How our schemas speak: what was expected, what came, and what to do about it.

import { closeNames } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Fault, ProblemCode } from './entry.js';

interface Voice {
  readonly code?: ProblemCode;
  readonly hint?: string | undefined;
}

/** An issue's message: "expected `what`, got the input". */
export const expected =
  (what: string, hint?: string) =>
  (issue: { readonly input: unknown }): string =>
    encodeFault(`expected ${what}, got ${describe(issue.input)}`, { hint });

/** valibot carries one string per issue; ours holds the code and the hint as well. */
export function encodeFault(message: string, { code = 'InvalidValue', hint }: Voice = {}): string {
  return JSON.stringify({ code, message, hint });
}

export function decodeFault(text: string): Fault {
  return { hint: undefined, ...(JSON.parse(text) as Omit<Fault, 'hint'>) };
}

/** A mapping with these keys and no other. Unlike valibot's strict object it reports every unknown key, and no list passes. */
export function mapping<const E extends v.ObjectEntries>(what: string, entries: E) {
  const known = Object.keys(entries);
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>(isMapping, expected(`a mapping ${what}`)),
    v.looseObject(entries, (issue) => encodeFault(`the key ${issue.expected} is missing`)),
    v.rawCheck(({ dataset, addIssue }) => {
      const input: Readonly<Record<string, unknown>> = isMapping(dataset.value) ? dataset.value : {};
      for (const key of Object.keys(input).filter((name) => !known.includes(name))) {
        addIssue({
          message: encodeFault(`unknown key ${JSON.stringify(key)}`, { code: 'UnknownKey', hint: hintFor(key, known) }),
          path: [{ type: 'object', origin: 'key', input: { ...input }, key, value: input[key] }],
        });
      }
    }),
    v.transform((checked): v.InferOutput<v.ObjectSchema<E, undefined>> => checked),
  );
}

function hintFor(key: string, known: readonly string[]): string {
  const close = closeNames(key, known);
  return close.length > 0 ? `did you mean ${close.join(' or ')}?` : `known here: ${known.join(', ')}`;
}

export const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A value in a few words, for "got ...". */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value === undefined) return 'nothing';
  if (isMapping(value)) return 'a mapping';
  return typeof value === 'function' ? 'a function' : String(value);
}
