/// <reference lib="esnext.disposable" preserve="true" />
// The public surface of the package.

export { type Client, connect, type Conversation, type Usage } from "./client.ts";
export {
  AccessError,
  AuthenticationError,
  ClosedError,
  ConnectionError,
  type ErrorKind,
  LimitError,
  type LimitName,
  RequestError,
  StatuswireError,
  UnavailableError,
} from "./errors.ts";
export type { ClientEvent, ClientState, Truncation } from "./events.ts";
export type { HistoryOptions } from "./history.ts";
export type { Welcome } from "./join.ts";
export type { ConnectOptions, WebSocketConstructor } from "./options.ts";
export type { Member } from "./presence.ts";
export type { Place, TruncationReason } from "./recovery.ts";
export type { Priority, Status } from "./status.ts";
export type { SubscribeOptions, Subscription } from "./subscription.ts";
export type { Presence, PresenceChange, PresenceOptions } from "./watch.ts";
