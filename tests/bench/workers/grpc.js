import grpc from '@grpc/grpc-js';
import { service } from './grpc-service.js';
import { isSpam } from './word-list.js';

const server = new grpc.Server({ 'grpc.max_receive_message_length': 1 << 20 });
server.addService(service, {
  check: ({ request }, answer) => answer(null, { spam: isSpam(JSON.parse(request.event)) }),
});
server.bindAsync(`unix:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), () => process.send('ready'));
