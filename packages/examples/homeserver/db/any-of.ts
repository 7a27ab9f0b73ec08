// Queries about many things at once. A statement takes 65535 parameters at most; a list of any length is one.

import { type SQL, type SQLWrapper, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';

/** Whether a column has one of the values. */
export const anyOf = (column: SQLWrapper, values: readonly string[]): SQL => sql`${column} = any(${list(values)})`;

/** The same of several columns together. */
export const anyRowOf = (columns: readonly PgColumn[], rows: readonly (readonly string[])[]): SQL =>
  sql`(${sql.join([...columns], sql`, `)}) in (select * from unnest(${sql.join(
    columns.map((_, index) => list(rows.map((row) => row[index] ?? ''))),
    sql`, `,
  )}))`;

const list = (values: readonly string[]): SQL => sql`${sql.param([...values])}::text[]`;
