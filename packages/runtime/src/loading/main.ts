// The process that modules are bundled in: one job after another, from the host and back to it.

import { failure } from './failure.js';
import type { Job, Outcome } from './job.js';
import { makeBundle } from './make.js';
import { resolveModule } from './resolve.js';

process.on('message', (job: Job) => {
  void carryOut(job).then((outcome) => process.send?.(outcome));
});
// Without a host there is nothing to live for; esbuild ends with its pipe.
process.on('disconnect', () => process.exit());

async function carryOut(job: Job): Promise<Outcome> {
  try {
    return job.kind === 'find'
      ? await resolveModule(job.specifier, job.baseDir, job.isolation)
      : await makeBundle(job.request);
  } catch (error) {
    // A parser that was driven to the end of its stack, for example.
    return failure('BundleFailed', `the module cannot be bundled: ${error instanceof Error ? error.message : error}`);
  }
}
