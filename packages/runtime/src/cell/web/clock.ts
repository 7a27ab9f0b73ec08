// The clock that modules see beside Date. Coarse: a fine one tells how long other cells' code ran in the same process.

const STEP_MS = 0.1;
const fine = globalThis.performance;
const read = fine.now.bind(fine);
const { timeOrigin } = fine;

export const now = (): number => Math.floor(read() / STEP_MS) * STEP_MS;

/** `now` and `timeOrigin` alone: the rest of Node's observes the whole process. */
export const performance = { now, timeOrigin };
