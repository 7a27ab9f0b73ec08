// What the platform gives over a port: the text comes back.
import { parentPort } from 'node:worker_threads';

parentPort.on('message', (text) => parentPort.postMessage(text));
