// What can go wrong, as classes to tell apart by `instanceof` or by `kind`. How
// they are read from the wire stands in refusal.ts.

/** What exactly it is. Never changes its meaning; new ones may come. */
export type ErrorKind =
  // AccessError
  | "not_theirs"
  | "access_ended"
  // AuthenticationError
  | "no_token"
  | "token_too_long"
  | "token_malformed"
  | "token_algorithm"
  | "token_signature"
  | "token_type"
  | "token_bad_claim"
  | "token_expired"
  | "token_not_yet_valid"
  | "token_no_expiry"
  | "token_no_user"
  | "token_bad_user"
  | "token_issuer"
  | "token_audience"
  | "token_other_user"
  | "token_refused"
  | "token_unavailable"
  // LimitError
  | "limited"
  // RequestError
  | "bad_request"
  | "not_served"
  | "bad_category"
  | "bad_conversation"
  | "bad_queue"
  | "ahead_of_stream"
  | "refused"
  // UnavailableError
  | "unavailable"
  | "overloaded"
  | "statuses_missing"
  | "timeout"
  // ConnectionError
  | "connect_failed"
  | "connection_lost"
  | "server_stopping"
  | "no_answer"
  | "ended_by_operator"
  | "access_unreadable"
  | "grant_expired"
  | "not_ready"
  | "too_slow_connect"
  | "protocol"
  | "too_large"
  // ClosedError
  | "closed";

/** The limit that was hit, by the name of its setting. */
export type LimitName =
  | "categories"
  | "subscription_changes"
  | "grant_changes"
  | "subscriptions"
  | "conversations"
  | "requests"
  | "connections_per_user"
  | "connections_per_address"
  | "failed_logins"
  | "histories"
  | "operations"
  | "frames";

export interface ErrorDetails {
  /** Whether the same may work later, without a change. */
  readonly retryable?: boolean;
  /** How long to wait before, if the server said so. */
  readonly retryAfterMillis?: number | undefined;
  /** `err_code` of the server's list of errors. */
  readonly errCode?: number | undefined;
  readonly cause?: unknown;
}

/** Every error of this package. */
export class StatuswireError extends Error {
  override name = "StatuswireError";
  readonly kind: ErrorKind;
  readonly retryable: boolean;
  readonly retryAfterMillis: number | undefined;
  readonly errCode: number | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.retryable = details.retryable ?? false;
    this.retryAfterMillis = details.retryAfterMillis;
    this.errCode = details.errCode;
  }
}

/** The conversation is not the user's, or is no longer. The same for one that does not exist. */
export class AccessError extends StatuswireError {
  override name = "AccessError";
}

/** The token was refused, or there was none to be had. */
export class AuthenticationError extends StatuswireError {
  override name = "AuthenticationError";
}

/** A limit of the server was hit. */
export class LimitError extends StatuswireError {
  override name = "LimitError";
  readonly limit: LimitName;

  constructor(limit: LimitName, message: string, details: ErrorDetails = {}) {
    super("limited", message, { retryable: true, ...details });
    this.limit = limit;
  }
}

/** What was asked for makes no sense, or is not served. */
export class RequestError extends StatuswireError {
  override name = "RequestError";
}

/** It cannot be had just now. */
export class UnavailableError extends StatuswireError {
  override name = "UnavailableError";

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(kind, message, { retryable: true, ...details });
  }
}

/** There is no connection, or there is none any more. The client opens another one by itself. */
export class ConnectionError extends StatuswireError {
  override name = "ConnectionError";
  /** Close code of the WebSocket, if it came to that. */
  readonly closeCode: number | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails & { closeCode?: number | undefined } = {}) {
    super(kind, message, { retryable: true, ...details });
    this.closeCode = details.closeCode;
  }
}

/** The client was closed, or the subscription has ended. */
export class ClosedError extends StatuswireError {
  override name = "ClosedError";

  constructor(message: string, details: ErrorDetails = {}) {
    super("closed", message, details);
  }
}
