import assert from "node:assert/strict";
import { test } from "node:test";
import { webSocketUrl } from "../src/address.ts";
import { backoffMillis } from "../src/backoff.ts";
import { parseDemoUsers } from "../src/demo.ts";
import { parseJoined, parseRefusal } from "../src/join.ts";

for (const [page, want] of [
  ["http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws"],
  ["https://status.example/", "wss://status.example/ws"],
  ["https://example.com/tools/status/?a=1#b", "wss://example.com/tools/status/ws"],
] as const) {
  test(`the WebSocket of ${page} is ${want}`, () => assert.equal(webSocketUrl(page), want));
}

test("waits double up to a bound and are spread by chance", () => {
  assert.equal(backoffMillis(1, 0), 500);
  assert.equal(backoffMillis(3, 0), 2_000);
  assert.equal(backoffMillis(3, 1), 1_000);
  assert.equal(backoffMillis(1_000, 0), 10_000);
});

test("a join's answer is read, its snapshot in the order of the stream", () => {
  const joined = parseJoined({
    conversation: "c1",
    categories: ["engine", 7, "tool"],
    limits: {},
    epoch: "d9fdx0sj3k3z",
    snapshot: {
      up_to_seq: 9,
      statuses: [
        { seq: 9, subject: "status.c1.tool", status: { text: "b" } },
        { seq: 4, subject: "status.c1.engine", status: { text: "a" } },
        "nonsense",
      ],
    },
  });
  assert.deepEqual(joined?.categories, ["engine", "tool"]);
  assert.deepEqual(joined?.snapshot.statuses.map(({ seq, status }) => [seq, status.text]), [[4, "a"], [9, "b"]]);
  assert.equal(joined?.snapshot.upTo, 9);
  assert.equal(joined?.epoch, "d9fdx0sj3k3z");
});

test("an answer without a snapshot has an empty one", () => {
  assert.deepEqual(parseJoined({ conversation: "c1", categories: [] })?.snapshot, { upTo: 0, statuses: [] });
});

test("what is no answer of a join is none", () => {
  for (const value of [undefined, null, "x", {}, { conversation: "c1" }]) assert.equal(parseJoined(value), null);
});

test("a refusal's description is found", () => {
  assert.equal(parseRefusal({ error: { code: 403, description: "not yours" } }), "not yours");
  for (const value of [null, {}, { error: "x" }]) assert.equal(parseRefusal(value), null);
});

test("demo users are read, and odd ones left out", () => {
  const users = parseDemoUsers({ users: [{ user: "alice", token: "t", conversations: ["demo", 7] }, { user: "x" }, null] });
  assert.deepEqual(users, [{ user: "alice", token: "t", conversations: ["demo"] }]);
  assert.deepEqual(parseDemoUsers("nothing"), []);
});
