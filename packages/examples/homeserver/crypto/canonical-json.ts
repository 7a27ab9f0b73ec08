// The one form of a JSON value that all servers hash and sign (appendices, "Canonical JSON").

/** @param value JSON whose numbers are integers; what is `undefined` in it is left out */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  // JSON.stringify escapes what the grammar escapes, in the same letters, and nothing else.
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members: string[] = [];
  for (const [key, member] of Object.entries(value).sort(byKey)) {
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}

/** By code points. JavaScript compares UTF-16 units, and so puts U+1F600 before U+FF5E. */
function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const [x, y] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** A surrogate is half of a code point above all that one unit can hold. */
const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit);
