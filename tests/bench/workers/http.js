import { createServer } from 'node:http';
import { isSpam } from './word-list.js';

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const spam = isSpam(JSON.parse(Buffer.concat(chunks).toString()));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ spam }));
  });
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
