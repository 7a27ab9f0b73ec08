// Which module answers a path.

import type { ModuleEntry } from '../config/entry.js';
import type { Life } from '../supervision/life.js';

/** A module as the web sees it. */
export interface WebModule {
  readonly entry: ModuleEntry;
  /** The life that answers, or the next one if that comes within so many milliseconds. */
  present(ms: number): Promise<Life | undefined>;
  readonly registered: { readonly resources: readonly string[] };
  /** A request took too long: is it late, or is the cell blocked? */
  doubt(life: Life): void;
}

export interface Route {
  readonly path: string;
  readonly module: WebModule;
  readonly resource: number;
}

const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin'];
const USUAL = '/_synapse/client';

/** Which path a module may not register, if any. */
export function reservedPath(path: string, reservedPaths: readonly string[]): string | undefined {
  const wanted = comparable(path);
  return [...RESERVED, ...reservedPaths].find((reserved) => {
    const other = comparable(reserved.replace(/\/?\*$/, ''));
    return isBelow(wanted, other) || isBelow(other, wanted);
  });
}

/** The routes of all modules: the longest path first; of equals the module that stands first in the configuration. */
export function createRoutes(
  modules: readonly WebModule[],
  reservedPaths: readonly string[],
  warn: (module: string, message: string) => void,
): readonly Route[] {
  const taken = new Map<string, Route>();
  for (const module of modules) {
    module.registered.resources.forEach((path, resource) => {
      const key = comparable(path);
      const reserved = reservedPath(path, reservedPaths);
      if (reserved !== undefined) {
        // At the start that is an error; a module may still come up with it in a later life.
        warn(module.entry.id, `${path} is in the reserved ${reserved}, and is not answered`);
        return;
      }
      const owner = taken.get(key);
      if (owner !== undefined) {
        warn(module.entry.id, `${path} is answered by ${owner.module.entry.id}, which stands first`);
        return;
      }
      if (!isBelow(key, USUAL)) warn(module.entry.id, `${path} is outside ${USUAL}`);
      taken.set(key, { path: key, module, resource });
    });
  }
  return [...taken.values()].sort((a, b) => b.path.length - a.path.length);
}

/** The route that a URL's path belongs to. */
export function findRoute(routes: readonly Route[], url: URL): Route | undefined {
  if (routes.length === 0) return undefined;
  const path = comparable(url.pathname);
  return routes.find((route) => isBelow(path, route.path));
}

const isBelow = (path: string, base: string): boolean =>
  path === base || path.startsWith(base === '/' ? base : `${base}/`);

/** A path after percent-decoding and removal of dot segments, so that no spelling of it gets past a comparison. */
function comparable(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // Not valid percent-encoding: compared as it is.
  }
  const segments: string[] = [];
  for (const segment of decoded.replaceAll('\\', '/').split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}
