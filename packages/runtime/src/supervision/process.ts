// The processes that the host starts, as the system sees them.

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';

/** The host is never starved by what it starts. */
const NICENESS = 5;
/** The kernel's first choice when memory runs out. */
const OOM_SCORE = '800';
const PAGE_BYTES = 4096;
/** The kernel counts processor time in hundredths of a second. */
const TICK_MS = 10;

/** Courtesies to the homeserver, not guards: fewer cycles, and the first to go when memory runs out. */
export function standBack(pid: number): void {
  try {
    setPriority(pid, NICENESS);
  } catch {
    // It has ended already, or the system does not let us.
  }
  if (process.platform === 'linux') writeFile(`/proc/${pid}/oom_score_adj`, OOM_SCORE).catch(() => {});
}

/**
 * What a process holds in memory, in bytes. Nothing of it comes from a disk, and not to wait costs a tenth.
 *
 * @throws when it has ended, or the system does not tell
 */
export function residentBytes(pid: number | string): number {
  const statm = readFileSync(`/proc/${pid}/statm`, 'latin1');
  return Number(statm.split(' ')[1]) * PAGE_BYTES;
}

/** The processor time that a thread of a process has had, in milliseconds; NaN if there is none, or the system does not tell. */
export function threadCpuMs(pid: number | undefined, threadId: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${threadId}/stat`, 'latin1');
    // The state is the third field, and the first behind the name; the times in user and kernel are the 14th and 15th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return Number.NaN;
  }
}
