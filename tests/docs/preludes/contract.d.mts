// What the excerpts of the contract in the generated pages refer to.

declare global {
  type MatrixEvent = import('@bulkhead/sdk').MatrixEvent;
  type ModuleLogger = import('@bulkhead/sdk').ModuleLogger;
  type ModuleStorage = import('@bulkhead/sdk').ModuleStorage;
  type WebResource = import('@bulkhead/sdk').WebResource;
  type Profile = import('@bulkhead/sdk').Profile;
  type UserInfo = import('@bulkhead/sdk').UserInfo;
  type RequesterOptions = import('@bulkhead/sdk').RequesterOptions;
  type Requester = import('@bulkhead/sdk').Requester;
  type NewEvent = import('@bulkhead/sdk').NewEvent;
  type StateFilter = import('@bulkhead/sdk').StateFilter;
  type RoomState = import('@bulkhead/sdk').RoomState;
  type MembershipChange = import('@bulkhead/sdk').MembershipChange;
  type Awaitable<T> = import('@bulkhead/sdk').Awaitable<T>;
  type Callbacks<C extends import('@bulkhead/sdk/contract').Category> = import('@bulkhead/sdk').Callbacks<C>;
}

export {};
