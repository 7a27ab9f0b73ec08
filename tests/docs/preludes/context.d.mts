// What a fragment of a module has around it.

declare global {
  type MatrixEvent = import('@bulkhead/sdk').MatrixEvent;
  type MediaFile = import('@bulkhead/sdk').MediaFile;
  type CallContext = import('@bulkhead/sdk').CallContext;
  const ApiError: typeof import('@bulkhead/sdk').ApiError;
  const allow: typeof import('@bulkhead/sdk').allow;
  const deny: typeof import('@bulkhead/sdk').deny;
  const api: import('@bulkhead/sdk').ModuleApi;
}

export {};
