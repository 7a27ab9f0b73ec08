import { parentPort } from 'node:worker_threads';
import { isSpam } from './word-list.js';

parentPort.on('message', ({ id, event }) => parentPort.postMessage({ id, spam: isSpam(event) }));
