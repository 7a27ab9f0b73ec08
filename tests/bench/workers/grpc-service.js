import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const definition = loadSync(join(dirname(fileURLToPath(import.meta.url)), 'check.proto'));

export const { SpamCheck } = grpc.loadPackageDefinition(definition).bench;
export const { service } = SpamCheck;
