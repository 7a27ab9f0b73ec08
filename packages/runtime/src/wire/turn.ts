// When frames leave: at once if nothing else has left lately, else together at the end of the event loop's turn.

let hasLeft = false;
let isTurning = false;
let waiting: (() => void)[] = [];

/**
 * Flushes what was gathered: after the microtasks, or, when something has left in this turn of the event loop already, at
 * its end. So a lone call does not wait, and calls that come from as many sockets as the kernel had ready share a frame.
 */
export function leaveSoon(flush: () => void): void {
  if (hasLeft) {
    waiting.push(flush);
    return;
  }
  process.nextTick(flush);
  if (isTurning) return;
  isTurning = true;
  process.nextTick(begin);
  setImmediate(end);
}

function begin(): void {
  hasLeft = true;
}

function end(): void {
  hasLeft = waiting.length > 0;
  isTurning = hasLeft;
  if (!hasLeft) return;
  const flushes = waiting;
  waiting = [];
  setImmediate(end);
  for (const flush of flushes) flush();
}
