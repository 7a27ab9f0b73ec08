// A child process with a worker thread that reads the inherited socket itself, as a cell in a hull does.
import { Worker } from 'node:worker_threads';

new Worker(new URL('./frames-thread.js', import.meta.url), { argv: process.argv.slice(2) });
// Ends with its parent.
process.on('disconnect', () => process.exit());
