// Durations as admins write them: 30d, 1h30m, 500ms.

import { v } from '@bulkhead/sdk';

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Text in, milliseconds out. */
export const Duration = v.pipe(
  v.string('expected a duration such as 30d'),
  v.regex(/^(?:\d{1,9}(?:ms|[smhdw]))+$/, 'expected a duration such as 30d or 1h30m'),
  v.transform((text) =>
    Array.from(text.matchAll(/(\d+)(ms|[smhdw])/g)).reduce(
      (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? 0),
      0,
    ),
  ),
  v.minValue(1, 'expected a duration longer than nothing'),
);
