// A process that has nothing to do with modules. How slow it is tells what the machine does to anybody at that moment.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
const server = createServer(({ url }, response) => {
  if (url === '/calm') delay.reset();
  response.end(JSON.stringify({ max: delay.max / 1e6, p99: delay.percentile(99) / 1e6 }));
}).listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
process.stdin.resume().on('close', () => process.exit());
