declare global {
  type StorageBackend = import('@bulkhead/runtime').StorageBackend;
  type StorageChange = import('@bulkhead/runtime').StorageChange;
  function hex(bytes: Uint8Array): string;
  function bytes(hex: string): Uint8Array;
}

export {};
