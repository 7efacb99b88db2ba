import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionWords, permissionWords, reasonOf, requestWords } from "../src/refusal.ts";

const named = (name: string, message: string, cause?: unknown): Error =>
  Object.assign(new Error(message, { cause }), { name });

for (const [name, line, want] of [
  ["a subscription's reason", 'Permissions Violation for Subscription to "status.c1.engine": not yours', "not yours"],
  ["a reason with a colon and quotes", 'Permissions Violation for Publish to "edge.c1.join": conversation "c1": gone', 'conversation "c1": gone'],
  ["a queue subscription's reason", 'Permissions Violation for Subscription to "a.b" using queue "q": no', "no"],
  ["a login's reason", "Authorization Violation: token expired: get a fresh one", "token expired: get a fresh one"],
  ["a bare permission line has none", 'Permissions Violation for Subscription to "a.b"', ""],
  ["a bare login line has none", "Authorization Violation", ""],
] as const) {
  test(`${name} is found`, () => assert.equal(reasonOf(line), want));
}

test("a refused login is told with the server's reason", () => {
  const error = named("AuthorizationError", "Authorization Violation: token expired: get a fresh one");
  assert.equal(connectionWords(error, "answers"), "Token expired: get a fresh one.");
});

test("a failed connect is told by whether the server answers", () => {
  const error = named("ConnectionError", "");
  assert.match(connectionWords(error, "silent"), /does not answer/);
  assert.match(connectionWords(error, "busy"), /not ready/);
  assert.match(connectionWords(error, "answers"), /refused the connection/);
});

test("a close frame's reason goes before guesses, and a login's reason before both", () => {
  const closed = named("ConnectionError", "");
  assert.equal(connectionWords(closed, "answers", "server is stopping: reconnect"), "Server is stopping: reconnect.");
  const denied = named("AuthorizationError", "Authorization Violation: token expired");
  assert.equal(connectionWords(denied, "answers", "authorization violation"), "Token expired.");
});

test("a refusal without a reason says that there is none", () => {
  assert.match(permissionWords('Permissions Violation for Subscription to "a.b"'), /no reason/);
});

test("a refused request is told by its cause", () => {
  const cause = named("PermissionViolationError", 'Permissions Violation for Publish to "edge.c.join": conversation "c" is not found or not yours');
  assert.equal(requestWords(named("RequestError", "", cause)), 'Conversation "c" is not found or not yours.');
  assert.match(requestWords(named("TimeoutError", "timeout")), /too long/);
  assert.match(requestWords(named("RequestError", "", named("NoResponders", "no"))), /Nothing answers/);
});
