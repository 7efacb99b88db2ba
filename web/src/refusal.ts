// Refusals and failures in words for a person. Pure: errors in, words out.

/** What the browser can find out beside the error: did the server answer HTTP? */
export type Reach = "answers" | "busy" | "silent";

/**
 * The reason inside a server's error line. The server writes
 * `Permissions Violation for Subscription to "status.c1.engine": <reason>` and
 * `Authorization Violation: <reason>`; a bare line carries none.
 */
export function reasonOf(message: string): string {
  const permission = /permissions violation for \S+ to "[^"]*"(?: using queue "[^"]*")?:\s*(.+)$/is.exec(message);
  const authorization = /authorization violation:\s*(.+)$/is.exec(message);
  return (permission?.[1] ?? authorization?.[1] ?? "").trim();
}

/** A refused subscription or request. */
export function permissionWords(message: string): string {
  return sentence(reasonOf(message) || "the server does not allow it and gives no reason");
}

/**
 * Why no connection came about, or why it ended for good. `closeReason` is what
 * the close frame said, if it said anything.
 */
export function connectionWords(error: unknown, reach: Reach, closeReason = ""): string {
  const { name, message } = nameAndMessage(error);
  if (name === "AuthorizationError" || name === "UserAuthenticationExpiredError") {
    return sentence(reasonOf(message) || "the token was not accepted, the server gives no reason");
  }
  if (closeReason !== "") return sentence(closeReason);
  switch (reach) {
    case "silent":
      return "The server does not answer. Is it running, and is the network there?";
    case "busy":
      return "The server is not ready for new connections. Wait a moment, then connect again.";
    case "answers":
      return refusedUpgrade(name, message);
  }
}

/** Why a request got no usable answer. */
export function requestWords(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { name, message } = nameAndMessage(cause);
  switch (name) {
    case "PermissionViolationError":
      return permissionWords(message);
    case "NoResponders":
      return "Nothing answers such requests on the server right now.";
    case "TimeoutError":
      return "The server took too long to answer. Try again.";
    default:
      return sentence(message || "the request failed");
  }
}

/** An error line that ends or disturbs the whole connection. */
export function protocolWords(message: string): string {
  return sentence(message.trim() || "the server reported an error without a text");
}

/** Upper-case first letter and a full stop, the way a person writes. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const ended = /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

function refusedUpgrade(name: string, message: string): string {
  if (name === "TimeoutError") return "The server took too long to answer. Try again.";
  if (message && name !== "ConnectionError") return sentence(message);
  return "The server refused the connection: too many connections from here, or this page's address is not allowed. Wait a minute, then connect again.";
}

function nameAndMessage(error: unknown): { name: string; message: string } {
  return error instanceof Error ? { name: error.name, message: error.message } : { name: "", message: "" };
}
