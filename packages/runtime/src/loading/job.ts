// What is done with files that nobody has looked at yet: they may be endless, or keep a parser busy for ever. So it is done in
// a process that can be ended.

import type { Bundle, BundleRequest } from './bundle.js';
import type { LoadFailure } from './failure.js';
import type { ResolvedModule } from './resolve.js';
import type { Isolation } from './rules.js';

export type Job =
  | { readonly kind: 'find'; readonly specifier: string; readonly baseDir: string; readonly isolation: Isolation }
  | { readonly kind: 'bundle'; readonly request: BundleRequest };

export type Outcome = ResolvedModule | Bundle | LoadFailure;
