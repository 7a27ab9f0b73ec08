// The least that a protocol of frames can be: length and id, an event as JSON text one way, one byte the other. No limits, no
// deadlines, no checks. With `echo` it sends back the bytes that it got.
import { Socket } from 'node:net';
import { isSpam } from './word-list.js';

const socket = new Socket({ fd: 3, readable: true, writable: true });
if (process.argv[2] === 'echo') {
  socket.on('data', (bytes) => socket.write(bytes));
} else {
  let kept = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    const chunk = kept.length === 0 ? bytes : Buffer.concat([kept, bytes]);
    const answers = [];
    let offset = 0;
    while (chunk.length - offset >= 8) {
      const end = offset + 8 + chunk.readUInt32LE(offset);
      if (chunk.length < end) break;
      const answer = Buffer.allocUnsafe(5);
      chunk.copy(answer, 0, offset + 4, offset + 8);
      answer[4] = isSpam(JSON.parse(chunk.utf8Slice(offset + 8, end))) ? 1 : 0;
      answers.push(answer);
      offset = end;
    }
    kept = chunk.subarray(offset);
    if (answers.length > 0) socket.write(Buffer.concat(answers));
  });
}
