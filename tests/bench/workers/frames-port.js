// The same frames over a port within one process.
import { parentPort } from 'node:worker_threads';
import { isSpam } from './word-list.js';

parentPort.on('message', (bytes) => {
  const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const answers = [];
  for (let offset = 0; offset < chunk.length; ) {
    const end = offset + 8 + chunk.readUInt32LE(offset);
    const answer = Buffer.allocUnsafe(5);
    chunk.copy(answer, 0, offset + 4, offset + 8);
    answer[4] = isSpam(JSON.parse(chunk.utf8Slice(offset + 8, end))) ? 1 : 0;
    answers.push(answer);
    offset = end;
  }
  parentPort.postMessage(new Uint8Array(Buffer.concat(answers)));
});
