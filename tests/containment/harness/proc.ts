// What the kernel says of processes. Where there is no /proc, nothing is known and nothing is claimed.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const MEBIBYTE = 1 << 20;
const PAGE_BYTES = 4096;

/** The resident size, in MiB; 0 of a process that is gone. */
export function residentMiB(pid: number): number {
  try {
    return (Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES) / MEBIBYTE;
  } catch {
    return 0;
  }
}

/** CPU time of all its threads, in user and kernel. */
export function cpuMsOf(pid: number): number {
  const stat = statOf(pid) ?? [];
  // utime and stime are the 14th and 15th field of all, the state being the 3rd; the kernel counts in hundredths of a second.
  return (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) * 10;
}

export const threadsOf = (pid: number): number => count(`/proc/${pid}/task`);
export const descriptorsOf = (pid: number): number => count(`/proc/${pid}/fd`);

export function socketsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:')).length;
  } catch {
    return 0;
  }
}

export function isAlive(pid: number): boolean {
  const state = statOf(pid)?.[0];
  return state !== undefined && state !== 'Z';
}

/** Living children whose command line has that word in it. */
export function childrenOf(parent: number, word: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && Number(statOf(pid)?.[1]) === parent && isAlive(pid) && commandOf(pid).includes(word));
}

/** State, parent and what else follows the name. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function count(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}
