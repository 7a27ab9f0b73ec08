// Modules that end: themselves, their thread, or the process around it.

import { inCallback } from './attacker.ts';

export const Heap = inCallback(() => {
  const hoard: unknown[] = [];
  for (;;) hoard.push({ hoard: [hoard.length] });
});
export const Split = inCallback(() => 'x'.repeat(1 << 28).split('').length);
