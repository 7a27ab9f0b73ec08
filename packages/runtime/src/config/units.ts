// Durations, sizes and shares as admins write them. A bare number is milliseconds, or bytes.

const DURATION = /^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?$/;
const MS_PER_UNIT = [3_600_000, 60_000, 1_000, 1];

/** Milliseconds of `5s`, `250ms`, `1m30s`, `2h` or a number; `undefined` for anything else. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.round(value) : undefined;
  if (typeof value !== 'string' || value === '') return undefined;
  const parts = DURATION.exec(value)?.slice(1);
  if (!parts) return undefined;
  return Math.round(parts.reduce((sum, part, index) => sum + Number(part ?? 0) * (MS_PER_UNIT[index] ?? 0), 0));
}

const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/;
const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes of `64MiB`, `128KiB` or a number; `undefined` for anything else. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const [, amount, unit] = SIZE.exec(value) ?? [];
  return amount && unit ? Math.round(Number(amount) * (BYTES_PER_UNIT[unit] ?? 0)) : undefined;
}

/** 0.2 of `20%`; `undefined` for anything else. */
export function parseShare(value: unknown): number | undefined {
  const percent = typeof value === 'string' ? /^(\d+(?:\.\d+)?)%$/.exec(value)?.[1] : undefined;
  return percent === undefined ? undefined : Number(percent) / 100;
}

/** The shortest way to write a number of bytes, for messages. */
export function formatSize(bytes: number): string {
  const unit =
    ['TiB', 'GiB', 'MiB', 'KiB'].find((name) => bytes !== 0 && bytes % (BYTES_PER_UNIT[name] ?? 1) === 0) ?? 'B';
  return `${bytes / (BYTES_PER_UNIT[unit] ?? 1)}${unit}`;
}
