// The script must be the same wherever it is made. esbuild calls the wrapper of a file that is not evaluated at once, such as
// a CommonJS one, by the way that leads to it from the module, which for a package is where the installer happened to put it.

import { decode, encode, type SourceMapMappings } from '@jridgewell/sourcemap-codec';

interface Output {
  readonly script: string;
  /** JSON. */
  readonly sourceMap: string;
}

/** `__commonJS({"../node_modules/left-pad/index.js"(`; the name is for profilers alone. */
const WRAPPER = /\b__(?:commonJS|esm)\d*\(\{"((?:[^"\\\n]|\\.)*)"\(/g;

/** @param inputs the names that esbuild gave to files */
export function withStableNames({ script, sourceMap }: Output, inputs: readonly string[]): Output {
  const known = new Set(inputs);
  const cuts: Cut[] = [];
  for (const match of script.matchAll(WRAPPER)) {
    const name = match[1] ?? '';
    const length = outsideOfPackage(name);
    // Text of the module's own may look like a wrapper, but it hardly names a file of this very bundle.
    if (length === 0 || !known.has(unescaped(name))) continue;
    cuts.push({ index: match.index + match[0].length - '"('.length - name.length, length });
  }
  if (cuts.length === 0) return { script, sourceMap };
  const map = JSON.parse(sourceMap) as { mappings: string };
  const mappings = encode(shifted(decode(map.mappings), script, cuts));
  return { script: without(script, cuts), sourceMap: JSON.stringify({ ...map, mappings }) };
}

interface Cut {
  readonly index: number;
  readonly length: number;
}

const IN_PACKAGE = 'node_modules/';

/** How much of a path leads to its package. */
function outsideOfPackage(path: string): number {
  const at = path.lastIndexOf(IN_PACKAGE);
  return at < 0 ? 0 : at + IN_PACKAGE.length;
}

/** esbuild writes what is not ASCII as `\xF6` or `\u0151`. */
function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text.replace(/\\x(..)/g, '\\u00$1')}"`) as string;
  } catch {
    return text;
  }
}

function without(script: string, cuts: readonly Cut[]): string {
  let from = 0;
  const pieces = cuts.map(({ index, length }) => {
    const piece = script.slice(from, index);
    from = index + length;
    return piece;
  });
  return [...pieces, script.slice(from)].join('');
}

/** Whatever stands behind a cut in its line moves to the left. */
function shifted(mappings: SourceMapMappings, script: string, cuts: readonly Cut[]): SourceMapMappings {
  let start = 0;
  let next = 0;
  return script.split('\n').map((line, number) => {
    const end = start + line.length;
    const segments = mappings[number] ?? [];
    let by = 0;
    for (const segment of segments) {
      for (let cut = cuts[next]; cut !== undefined && cut.index < start + segment[0]; cut = cuts[++next]) {
        by += cut.length;
      }
      segment[0] -= by;
    }
    // Those behind the line's last segment.
    while ((cuts[next]?.index ?? Number.POSITIVE_INFINITY) <= end) next++;
    start = end + 1;
    return segments;
  });
}
