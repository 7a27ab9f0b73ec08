// atob and btoa.

import { DOMException } from './dom-exception.js';

const { atob: decode, btoa: encode } = globalThis;

/** The realm's own, with an error of ours. */
const guarded =
  (work: (text: string) => string) =>
  (...args: unknown[]): string => {
    if (args.length === 0) throw new TypeError('1 argument required');
    const text = `${args[0]}`;
    try {
      return work(text);
    } catch {
      throw new DOMException('The string holds characters that it may not', 'InvalidCharacterError');
    }
  };

export const atob = guarded(decode);
export const btoa = guarded(encode);
