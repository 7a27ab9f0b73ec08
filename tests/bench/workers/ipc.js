import { isSpam } from './word-list.js';

process.on('message', ({ id, event }) => process.send({ id, spam: isSpam(event) }));
