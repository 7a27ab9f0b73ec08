import type { EventData } from '@bulkhead/sdk/contract';

export declare const WORDS: readonly string[];
export declare function isSpam(event: Pick<EventData, 'content'>): boolean;
