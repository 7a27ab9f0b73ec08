// Who imports whom: the way from a module to an import that it cannot have.

import { relative, resolve, sep } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { ASKED } from './asked.js';

/** Absolute paths, by the path of the file that imports them. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** Reads all files once more and notes what they import, because a bundle that fails has no list of imports. */
export async function importGraph(options: BuildOptions): Promise<ImportGraph> {
  const graph = new Map<string, string[]>();
  await build({ ...options, write: false, plugins: [noteImports(graph), ...(options.plugins ?? [])] }).catch(
    () => undefined,
  );
  return graph;
}

const noteImports = (graph: Map<string, string[]>): Plugin => ({
  name: 'note-imports',
  setup(bundler) {
    bundler.onResolve({ filter: /^/ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (pluginData !== undefined) return undefined;
      const resolved = await bundler.resolve(path, { importer, kind, resolveDir, pluginData: ASKED });
      graph.set(importer, [...(graph.get(importer) ?? []), resolved.path]);
      return undefined;
    });
  },
});

/** The shortest way between two files, both included. */
export function importChain(graph: ImportGraph, from: string, to: string): readonly string[] {
  const chains: (readonly string[])[] = [[from]];
  const seen = new Set([from]);
  // Grows while it is walked: breadth first, so the first chain that arrives is a shortest one.
  for (const chain of chains) {
    const last = chain.at(-1) ?? from;
    if (last === to) return chain;
    for (const next of graph.get(last) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      chains.push([...chain, next]);
    }
  }
  return [to];
}

/** `left-pad/index.js` for what is in a package, else the path from the module. */
export function shortName(file: string, workDir: string): string {
  const path = resolve(workDir, file).split(sep).join('/');
  const inPackage = path.lastIndexOf('/node_modules/');
  return inPackage < 0 ? relative(workDir, path) : path.slice(inPackage + '/node_modules/'.length);
}
