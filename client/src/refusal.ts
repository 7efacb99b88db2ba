// Reads the server's refusals: values in, typed errors out. All texts of
// docs/errors.md that a browser can be told stand here; a test compares.

import {
  AccessError,
  AuthenticationError,
  ConnectionError,
  type ErrorDetails,
  type ErrorKind,
  LimitError,
  type LimitName,
  RequestError,
  StatuswireError,
  UnavailableError,
} from "./errors.ts";

type Make = (message: string, details: ErrorDetails) => StatuswireError;
type Rule = readonly [text: RegExp, make: Make];

const access = (kind: ErrorKind): Make => (message, details) => new AccessError(kind, message, details);
const token = (kind: ErrorKind): Make => (message, details) => new AuthenticationError(kind, message, details);
const limit = (name: LimitName): Make => (message, details) => new LimitError(name, message, details);
const request = (kind: ErrorKind): Make => (message, details) => new RequestError(kind, message, details);
const unavailable = (kind: ErrorKind): Make => (message, details) => new UnavailableError(kind, message, details);
const connection = (kind: ErrorKind): Make => (message, details) => new ConnectionError(kind, message, details);

const notTheirs: Rule = [/is not found or not yours$/, access("not_theirs")];
const notAvailable: Rule = [/^the service is not available just now/, unavailable("unavailable")];
const grantChanges: Rule = [/^more than \d+ grant changes/, limit("grant_changes")];
const failedLogins: Rule = [/failed logins from this address/, limit("failed_logins")];

/** Reasons of a login. */
const loginRules: readonly Rule[] = [
  [/^no token(:| given)/, token("no_token")],
  [/^token too long/, token("token_too_long")],
  [/^maximum control line exceeded/i, token("token_too_long")],
  [/^token malformed/, token("token_malformed")],
  [/^token has the wrong signature algorithm/, token("token_algorithm")],
  [/^token has a wrong signature/, token("token_signature")],
  [/^token has the wrong type/, token("token_type")],
  [/^token has a bad claim/, token("token_bad_claim")],
  [/^token expired/, token("token_expired")],
  [/^token not yet valid/, token("token_not_yet_valid")],
  [/^token has no expiry/, token("token_no_expiry")],
  [/^token names no user/, token("token_no_user")],
  [/^token names an unusable user/, token("token_bad_user")],
  [/^token has the wrong issuer/, token("token_issuer")],
  [/^token has the wrong audience/, token("token_audience")],
  [/^the fresh token is another user/, token("token_other_user")],
  [/^CONNECT (is not valid JSON|must come first)/, connection("protocol")],
  [/^a connection is authenticated once/, connection("protocol")],
  [/^bad conversation id/, request("bad_conversation")],
  notTheirs,
  grantChanges,
  failedLogins,
];

/** Reasons after `Permissions Violation for … to "…": `. */
const permissionRules: readonly Rule[] = [
  notTheirs,
  [/^your access to conversation .* has ended$/, access("access_ended")],
  [/^this connection has \d+ categories of|^it covers \d+ more categories/, limit("categories")],
  [/^more than \d+ subscription changes/, limit("subscription_changes")],
  [/^this connection has \d+ subscriptions/, limit("subscriptions")],
  grantChanges,
  [/^this login has subscriptions or requests in \d+ conversations/, limit("conversations")],
  [/^\d+ requests wait for an answer/, limit("requests")],
  [/^only status, presence and inbox subjects/, request("not_served")],
  [/^this is no category/, request("bad_category")],
  [/^the name of the queue group is too long/, request("bad_queue")],
  [/^the server follows as many subjects/, unavailable("unavailable")],
  [/^statuses cannot be delivered just now/, unavailable("unavailable")],
  [/^statuses of .* are missing, as the server's data was reset/, unavailable("ahead_of_stream")],
  [/^statuses of .* are missing/, unavailable("statuses_missing")],
  [/^what was stored on .* meanwhile could not be read/, unavailable("statuses_missing")],
  notAvailable,
  ...loginRules,
];

/** Reasons of a close frame, or the -ERR before it. */
const closeRules: readonly Rule[] = [
  [/^grant expired/, connection("grant_expired")],
  [/^server is stopping/, connection("server_stopping")],
  [/^no answer to a ping/, connection("no_answer")],
  [/^connection ended by an operator/, connection("ended_by_operator")],
  [/^access changed and could not be read again/, connection("access_unreadable")],
  [/^no CONNECT in time/, connection("too_slow_connect")],
  [/^the service is not available just now/, connection("not_ready")],
  [/^this user has \d+ connections/, limit("connections_per_user")],
  grantChanges,
  failedLogins,
  [/^too many operations/, limit("operations")],
  [/^too many frames/, limit("frames")],
  [/^(too large|maximum control line exceeded|Maximum Payload Violation)/i, connection("too_large")],
];

/** `err_code` → error, for the answers to requests. */
const answerCodes: Readonly<Record<number, Make>> = {
  20030: unavailable("unavailable"),
  20031: unavailable("overloaded"),
  20101: request("bad_request"),
  20102: access("not_theirs"),
  20121: request("ahead_of_stream"),
  20122: limit("histories"),
  20123: limit("requests"),
};

const permission = /^permissions violation for (?:subscription|publish) to "[^"]*"(?: using queue "[^"]*")?(?::\s*(.*))?$/is;
const authorization = /^authorization violation(?::\s*(.*))?$/is;

function read(rules: readonly Rule[], reason: string, details: ErrorDetails): StatuswireError | undefined {
  const rule = rules.find(([text]) => text.test(reason));
  const wait = /try again in (\d+) s/.exec(reason)?.[1];
  return rule?.[1](reason, wait === undefined ? details : { ...details, retryAfterMillis: Number(wait) * 1_000 });
}

/** The text of an -ERR that ends a subscription or a request, the socket stays. */
export function permissionError(text: string, cause?: unknown): StatuswireError {
  const match = permission.exec(text);
  const reason = match?.[1] ?? "";
  if (match !== null && reason === "") {
    return new RequestError("not_served", `the server does not serve this: ${text}`, { cause });
  }
  return read(permissionRules, reason, { cause }) ?? new RequestError("refused", reason || text, { cause });
}

/** The text of an -ERR that refuses a login, or a reason without the first words. */
export function loginError(text: string, cause?: unknown): StatuswireError {
  const reason = authorization.exec(text)?.[1] ?? text;
  return read(loginRules, reason, { cause }) ?? new AuthenticationError("token_refused", reason || "the login was refused", { cause });
}

/** Why a socket has closed. `line` is the last -ERR before that, if there was one. */
export function closeError(code: number, reason: string, line = ""): StatuswireError {
  if (authorization.test(line)) return loginError(line);
  const known = read(closeRules, reason, {}) ?? read(closeRules, line, {});
  if (known instanceof LimitError) return known;
  const kind = known?.kind ?? (code === 1002 || code === 1007 || code === 1008 ? "protocol" : "connection_lost");
  return new ConnectionError(kind, line || reason || `the connection was lost (close code ${code})`, { closeCode: code });
}

/** The error of an answer, `{"error":{"code","err_code","description"}}`; undefined if it has none. */
export function answerError(answer: unknown): StatuswireError | undefined {
  const error = field(answer, "error");
  if (typeof error !== "object" || error === null) return undefined;
  const [code, errCode, description] = [field(error, "code"), field(error, "err_code"), field(error, "description")];
  const message = typeof description === "string" ? description : "the server refused and gave no reason";
  const details = { errCode: typeof errCode === "number" ? errCode : undefined };
  const make = answerCodes[details.errCode ?? 0];
  if (make !== undefined) return make(message, details);
  if (code === 401) return loginError(message);
  return (
    read(permissionRules, message, details) ??
    (code === 503 ? new UnavailableError("unavailable", message, details) : new RequestError("refused", message, details))
  );
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
