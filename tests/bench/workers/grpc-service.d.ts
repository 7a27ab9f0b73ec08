import type { ChannelCredentials, Client, ServiceDefinition, ServiceError } from '@grpc/grpc-js';

interface SpamCheckClient extends Client {
  check(request: { event: string }, answered: (error: ServiceError | null, answer: { spam: boolean }) => void): void;
}

export declare const SpamCheck: new (address: string, credentials: ChannelCredentials) => SpamCheckClient;
export declare const service: ServiceDefinition;
