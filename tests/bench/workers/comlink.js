import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { isSpam } from './word-list.js';

// `value` is what the ModuleApi's benchmark asks for.
expose({ isSpam, value: (key) => ({ key, displayname: 'Alice' }) }, nodeEndpoint(parentPort));
