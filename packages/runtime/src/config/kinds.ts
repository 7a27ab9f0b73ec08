// The kinds of values that keys have. Every message says what was expected and what came.

import * as v from 'valibot';
import { expected } from './expected.js';
import { formatSize, parseDuration, parseShare, parseSize } from './units.js';

const DAY = 86_400_000;

/** `parse`'s result where it is within the bounds. */
const quantity = (what: string, parse: (value: unknown) => number | undefined, least: number, most: number) =>
  v.pipe(
    v.unknown(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value);
      if (parsed !== undefined && parsed >= least && parsed <= most) return parsed;
      addIssue({ message: expected(what) });
      return NEVER;
    }),
  );

export const duration = quantity('a duration like "250ms", at most 24h', parseDuration, 1, DAY);

export const size = (example: string, least: number, most: number) =>
  quantity(`a size like "${example}", from ${formatSize(least)} to ${formatSize(most)}`, parseSize, least, most);

export const count = (most: number) =>
  quantity(
    `a whole number from 1 to ${most}`,
    (value) => (typeof value === 'number' && Number.isInteger(value) ? value : undefined),
    1,
    most,
  );

export const share = quantity('a share of one core, like "20%"', parseShare, 0.001, 1);

export const oneOf = <const O extends readonly string[]>(...options: O) =>
  v.picklist(options, expected(options.map((option) => JSON.stringify(option)).join(' or ')));

export const flag = v.boolean(expected('true or false'));

export const listOf = <T>(what: string, item: v.GenericSchema<unknown, T>) =>
  v.array(item, expected(`a list of ${what}`));
