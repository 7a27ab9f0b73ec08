// Patterns with `*` for any sequence of characters.

import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import { anyOf } from '../db/any-of.js';

/** In time proportional to the product of the lengths: a regular expression of many stars could take for ever. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next++;
      mark = at;
    } else if (next < pattern.length && pattern[next] === text[at]) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[next] === '*') next++;
  return next === pattern.length;
}

/** The same, asked of the database. */
export function matchesAny(column: SQLWrapper, patterns: readonly string[]): SQL {
  const globs = patterns.filter((pattern) => pattern.includes('*') && canBeStored(pattern));
  const exact = patterns.filter((pattern) => !pattern.includes('*'));
  return sql`(${sql.join([isAny(column, exact), ...globs.map((glob) => sql`${column} like ${likeOf(glob)}`)], sql` or `)})`;
}

export const isAny = (column: SQLWrapper, texts: readonly string[]): SQL => anyOf(column, texts.filter(canBeStored));

const likeOf = (glob: string) => glob.replace(/[\\%_]/g, '\\$&').replaceAll('*', '%');

/** PostgreSQL's text has no NUL, and UTF-8 no half of a pair: what contains them is equal to nothing. */
const canBeStored = (text: string) => !/[\0\p{Surrogate}]/u.test(text);
