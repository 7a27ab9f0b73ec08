import { parentPort } from 'node:worker_threads';
import { sums } from './sums.js';

parentPort.on('message', (rounds) => {
  const startedAt = performance.now();
  sums(rounds);
  parentPort.postMessage(performance.now() - startedAt);
});
