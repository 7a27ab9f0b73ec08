declare global {
  type EventData = import('@bulkhead/sdk').EventData;
}

export {};
