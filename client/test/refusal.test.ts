import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { againOf } from "../src/context.ts";
import {
  AccessError,
  AuthenticationError,
  ConnectionError,
  type ErrorKind,
  LimitError,
  type LimitName,
  RequestError,
  StatuswireError,
  UnavailableError,
} from "../src/errors.ts";
import { answerError, closeError, loginError, permissionError } from "../src/refusal.ts";

const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");

/** The page by its headings: the text below each. */
const sections = new Map(
  page
    .split(/^#+ (?=\S)/m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n"))] as const),
);

function section(name: string): string {
  return sections.get(name) ?? assert.fail(`docs/errors.md has no section ${name}`);
}

/** The rows of a section's table without its head, by cell. */
function rows(name: string): string[][] {
  const lines = section(name).split("\n").filter((line) => line.startsWith("|"));
  assert.ok(lines.length > 2, `${name} has no table`);
  return lines.slice(2).map((line) => line.slice(1, -1).split(" | ").map((cell) => cell.replaceAll("`", "").trim()));
}

/** What stands for everything that was not recognised. */
const unknown: readonly ErrorKind[] = ["refused", "token_refused", "connection_lost"];

function assertKnown(error: StatuswireError | undefined, text: string): void {
  assert.ok(error !== undefined && !unknown.includes(error.kind), `no kind of error stands for ${JSON.stringify(text)}: add it to src/refusal.ts`);
  assert.notEqual(error.constructor, StatuswireError, text);
}

test("the sections of docs/errors.md are those that are read here, or that no browser meets", () => {
  assert.deepEqual([...sections.keys()], [
    "Errors",
    "Publishing a status", // services
    "Asking about a conversation",
    "Administering", // operators
    "Reading the history",
    "Over HTTP", // EventSource and curl
    "In Go",
    "The gateway",
    "The socket stays",
    "The login is refused",
    "A fresh token is refused",
    "The socket closes",
    "Before there is a socket",
  ]);
});

describe("every refusal of docs/errors.md has its error", () => {
  for (const name of ["Asking about a conversation", "Reading the history"]) {
    for (const [errCode = "", code = "", , text = ""] of rows(name)) {
      test(`${errCode} ${text}`, () => {
        const error = answerError({ error: { code: Number(code), err_code: Number(errCode), description: text } });
        assertKnown(error, text);
        assert.equal(error?.errCode, Number(errCode));
        assert.equal(error?.message, text);
      });
    }
  }

  for (const [errCode, code, kind] of [
    [20030, 503, "unavailable"],
    [20031, 503, "overloaded"],
  ] as const) {
    test(`${errCode}, which stands among those of publishing`, () => {
      assert.ok(rows("Publishing a status").some((row) => row[0] === `${errCode}` && row[2] === kind));
      assert.equal(answerError({ error: { code, err_code: errCode, description: "x" } })?.kind, kind);
    });
  }

  for (const [reason = ""] of rows("The socket stays")) {
    if (reason.startsWith("*")) continue; // those of the next section
    test(reason, () => {
      const after = reason === "none" ? "" : `: ${reason}`;
      for (const what of ['Subscription to "status.c1.engine"', 'Subscription to "status.c1.*" using queue "q"', 'Publish to "edge.c1.join"']) {
        const error = permissionError(`Permissions Violation for ${what}${after}`);
        assertKnown(error, reason);
        if (after !== "") assert.equal(error.message, reason);
      }
    });
  }

  for (const [reason = ""] of rows("The login is refused")) {
    test(`login: ${reason}`, () => {
      const text = reason.replaceAll("*", "").trim();
      assertKnown(loginError(`Authorization Violation: ${text}`), reason);
      assertKnown(permissionError(`Permissions Violation for Subscription to "status.c1.engine": ${text}`), reason);
    });
  }

  for (const [, text = ""] of section("A fresh token is refused").matchAll(/\*([^*]+)\*/g)) {
    if (text === "reason") continue;
    test(`fresh token: ${text}`, () => {
      const code = text.includes("try again in") ? 429 : 401;
      assertKnown(answerError({ error: { code, description: text } }), text);
    });
  }

  for (const [code = "", reasons = ""] of rows("The socket closes")) {
    test(`close ${code}: ${reasons}`, () => {
      for (const text of reasons.split("; ")) {
        if (code.startsWith("none")) {
          assert.equal(closeError(1006, "").kind, "connection_lost");
          continue;
        }
        const [reason = "", ...lines] = text.split(/, after | or (?=-ERR)/);
        const error = closeError(Number(code), reason);
        assertKnown(error, text);
        for (const line of lines) {
          const err = /-ERR '(.*)'/.exec(line)?.[1] ?? assert.fail(line);
          assertKnown(closeError(Number(code), reason, err), line);
        }
      }
    });
  }
});

test("each refusal of a login and each close has the kind that names it", () => {
  const login = rows("The login is refused").map(([reason = ""]) => loginError(`Authorization Violation: ${reason.replaceAll("*", "")}`).kind);
  assert.deepEqual(login, [
    "no_token", "no_token", "token_too_long", "token_malformed", "token_malformed", "token_malformed", "token_malformed", "token_algorithm",
    "token_signature", "token_type", "token_bad_claim", "token_bad_claim", "token_bad_claim", "token_bad_claim", "token_bad_claim",
    "token_bad_claim", "token_bad_claim", "token_expired", "token_not_yet_valid", "token_no_expiry", "token_no_user", "token_bad_user",
    "token_bad_user", "token_issuer", "token_audience", "not_theirs", "bad_conversation", "token_too_long", "token_malformed",
    "protocol", "protocol", "protocol",
  ]);
  const stays = rows("The socket stays").slice(1, -1).map(([reason = ""]) => {
    const error = permissionError(`Permissions Violation for Subscription to "status.c1.engine": ${reason}`);
    return error instanceof LimitError ? error.limit : error.kind;
  });
  assert.deepEqual(stays, [
    "not_theirs", "access_ended", "categories", "categories", "subscription_changes", "subscriptions", "conversations", "grant_changes", "requests", "not_served",
    "bad_category", "bad_queue", "unavailable", "unavailable", "unavailable", "statuses_missing", "ahead_of_stream", "statuses_missing",
  ]);
  const closes = rows("The socket closes").map(([code = "", reasons = ""]) => {
    const error = closeError(Number.parseInt(code) || 1006, /^none/.test(code) ? "" : (reasons.split(/; |, after /)[0] ?? ""));
    return error instanceof LimitError ? error.limit : error.kind;
  });
  assert.deepEqual(closes, [
    "grant_expired", "server_stopping", "no_answer", "ended_by_operator", "access_unreadable", "protocol", "protocol", "protocol", "protocol", "operations",
    "frames", "too_large", "too_large", "not_ready", "connections_per_user", "grant_changes", "failed_logins", "too_slow_connect", "connection_lost",
  ]);
});

test("the classes are what one tells apart", () => {
  const permission = (reason: string): StatuswireError => permissionError(`Permissions Violation for Subscription to "status.c1.engine": ${reason}`);
  const cases: [StatuswireError | undefined, abstract new (...args: never[]) => StatuswireError, ErrorKind][] = [
    [permission('conversation "c1" is not found or not yours'), AccessError, "not_theirs"],
    [permission('your access to conversation "c1" has ended'), AccessError, "access_ended"],
    [permission("this connection has 10 categories of 10: unsubscribe from one first"), LimitError, "limited"],
    [permission("the service is not available just now: try again"), UnavailableError, "unavailable"],
    [permission("something that is new"), RequestError, "refused"],
    [permissionError('Permissions Violation for Subscription to "status.>"'), RequestError, "not_served"],
    [loginError("Authorization Violation: token expired: get a fresh one"), AuthenticationError, "token_expired"],
    [loginError("Authorization Violation"), AuthenticationError, "token_refused"],
    [closeError(1000, "grant expired: reconnect with a fresh token"), ConnectionError, "grant_expired"],
    [closeError(1008, "authorization violation", "Authorization Violation: no token: put it there"), AuthenticationError, "no_token"],
    [closeError(1008, "NATS protocol violation", "Unknown Protocol Operation"), ConnectionError, "protocol"],
    [closeError(1013, "this user has 20 connections, which is the limit: close one first"), LimitError, "limited"],
    [answerError({ error: { code: 404, err_code: 20102, description: "x" } }), AccessError, "not_theirs"],
    [answerError({ error: { code: 503, description: "x" } }), UnavailableError, "unavailable"],
    [answerError({ error: { code: 418, err_code: 29999, description: "new" } }), RequestError, "refused"],
  ];
  for (const [error, type, kind] of cases) {
    assert.ok(error instanceof type, `${error?.name} ${error?.message}`);
    assert.equal(error?.kind, kind);
    assert.equal(error?.name, type.name);
  }
});

test("a limit has its name and the time to wait", () => {
  const cases: [string, LimitName, number | undefined][] = [
    ["more than 30 subscription changes within a minute: try again in 12 s", "subscription_changes", 12_000],
    ["more than 120 grant changes within a minute: try again in 12 s", "grant_changes", 12_000],
    ["it covers 2 more categories, and this connection has 10 of 10: subscribe to single ones, or unsubscribe first", "categories", undefined],
    ["this connection has 64 subscriptions, which is its limit: unsubscribe from one first", "subscriptions", undefined],
    ["64 requests wait for an answer, which is the limit: wait for one first", "requests", undefined],
  ];
  for (const [reason, limit, wait] of cases) {
    const error = permissionError(`Permissions Violation for Publish to "edge.c1.join": ${reason}`);
    assert.ok(error instanceof LimitError, reason);
    assert.deepEqual([error.limit, error.retryAfterMillis], [limit, wait]);
  }
  const logins = closeError(1013, "20 failed logins from this address within a minute, which is the limit: try again in 42 s");
  assert.equal(logins.retryAfterMillis, 42_000);
});

test("what passes is tried again, a limit only for what was there before, the rest never", () => {
  assert.equal(againOf(new UnavailableError("unavailable", "")), "always");
  assert.equal(againOf(new ConnectionError("connection_lost", "")), "always");
  assert.equal(againOf(new LimitError("histories", "")), "always");
  assert.equal(againOf(new LimitError("categories", "")), "restoring");
  assert.equal(againOf(new AccessError("not_theirs", "")), "never");
  assert.equal(againOf(new RequestError("bad_request", "")), "never");
});

test("an answer without an error has none", () => {
  for (const answer of [undefined, null, 7, {}, { error: "x" }, { conversation: "c1" }]) assert.equal(answerError(answer), undefined);
});
