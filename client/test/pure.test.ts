import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { NatsConnection } from "@nats-io/nats-core";
import { backoffMillis } from "../src/backoff.ts";
import { RequestError } from "../src/errors.ts";
import { join, readJoined, type Welcome } from "../src/join.ts";
import { type ConnectOptions, settingsOf } from "../src/options.ts";
import { Queue } from "../src/queue.ts";
import type { PageQuery, Requests } from "../src/request.ts";
import { readStatus, type Status } from "../src/status.ts";
import { expiryOf, renewInMillis, retryInMillis } from "../src/token.ts";

test("waits have full jitter under a bound that doubles", () => {
  const backoff = { firstMillis: 1_000, lastMillis: 15_000 };
  assert.deepEqual([0, 1, 2, 3, 4, 1_000].map((attempt) => backoffMillis(backoff, attempt, 1)), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  assert.equal(backoffMillis(backoff, 3, 0), 0);
  assert.equal(backoffMillis(backoff, 3, 0.25), 2_000);
});

test("the end of a JWT is read, of any other token it is unknown", () => {
  const jwt = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.sig`;
  assert.equal(expiryOf(jwt({ exp: 1_700_000_000, name: "ünïcode?>~" })), 1_700_000_000_000);
  for (const token of ["", "opaque", "a.b.c", "a.!.c", jwt({}), jwt({ exp: "soon" }), jwt(null)]) assert.equal(expiryOf(token), undefined, token);
});

test("a token is renewed in time, with time left to try again", () => {
  assert.equal(renewInMillis(3_600_000, 0), 2_400_000);
  assert.equal(Math.round(renewInMillis(3_600_000, 1)), 3_000_000);
  assert.equal(renewInMillis(-5, 0.5), 1_000);
  assert.ok(renewInMillis(1e15, 1) < 2 ** 31);
  assert.ok(retryInMillis(600_000, 1) <= 60_000 && retryInMillis(0, 0) === 1_000);
});

test("options that make no sense are refused with what to do", () => {
  class Fake {}
  const good: ConnectOptions = { servers: "https://status.example.com/live", WebSocket: Fake };
  assert.deepEqual(settingsOf(good).urls, ["wss://status.example.com/live"]);
  assert.deepEqual(settingsOf({ ...good, servers: ["ws://a:1", "wss://b"] }).urls, ["ws://a:1/", "wss://b/"]);
  const cases: [Partial<ConnectOptions>, RegExp][] = [
    [{ servers: "nonsense" }, /is no URL: write it as wss:/],
    [{ servers: "nats://a:4222" }, /is no WebSocket/],
    [{ servers: [] }, /at least one/],
    [{ name: "x".repeat(20) }, /at most 19/],
    [{ timeoutMillis: 0 }, /timeoutMillis is 0/],
    [{ reconnect: { firstMillis: NaN } }, /firstMillis is NaN/],
    [{ refreshIntervalMillis: Infinity }, /refreshIntervalMillis is Infinity/],
    [{ pingIntervalMillis: 2 ** 31 }, /pingIntervalMillis is 2147483648/],
  ];
  for (const [options, text] of cases) assert.throws(() => settingsOf({ ...good, ...options }), { kind: "bad_request", message: text });
});

test("what is left out is set as suits a browser", () => {
  const { urls: _, open: __, ...rest } = settingsOf({ servers: "ws://a", WebSocket: class {} });
  assert.deepEqual(rest, {
    token: undefined,
    tokenIsFixed: false,
    waitOnFirstConnect: true,
    name: "statuswire-client",
    reconnect: { firstMillis: 1_000, lastMillis: 15_000 },
    pingIntervalMillis: 20_000,
    timeoutMillis: 10_000,
    refreshIntervalMillis: 600_000,
  });
});

test("a status is read whatever was stored", () => {
  const empty = readStatus("status.c1.engine", 7, undefined, {});
  assert.deepEqual({ ...empty, timestamp: 0 }, {
    conversation: "c1", category: "engine", text: "", metadata: {}, timestamp: 0, priority: "normal",
    id: undefined, sequence: 7, snapshot: false, replayed: false, headers: {},
  });
  const odd = readStatus("status.c1.tool", 8, { text: 5, metadata: [1], priority: "loud", id: 3, timestamp: "2024-01-19T12:00:00Z" }, {});
  assert.deepEqual([odd.text, odd.metadata, odd.priority, odd.id, odd.timestamp.getTime()], ["", {}, "normal", undefined, 1_705_665_600_000]);
});

test("a join is read, its snapshot in the order of the stream", () => {
  const joined = readJoined({
    conversation: "c1",
    categories: ["engine", 7],
    limits: { categories: 10, odd: "x" },
    presence: [{ user: "alice", connections: 2, since: "2026-01-19T12:00:00.25Z" }, "odd"],
    snapshot: { up_to_seq: 9, truncated: true, statuses: [{ seq: 9, subject: "status.c1.tool", status: { text: "b" } }, { seq: 4, subject: "status.c1.engine", status: { text: "a" } }, "odd"] },
  });
  assert.deepEqual([joined.categories, joined.limits, joined.members.length, joined.membersTruncated], [["engine"], { categories: 10 }, 1, false]);
  assert.deepEqual([joined.snapshot.upTo, joined.snapshot.truncated], [9, true]);
  assert.deepEqual(joined.snapshot.statuses.map(({ text, snapshot }) => [text, snapshot]), [["a", true], ["b", true]]);
  for (const answer of [undefined, {}, { conversation: "c1" }, { conversation: "c1", snapshot: {} }]) assert.throws(() => readJoined(answer), { kind: "unavailable" });
});

test("what a join had no room for is asked for, and is part of the snapshot", async () => {
  const status = (category: string, sequence: number): unknown => ({ seq: sequence, subject: `status.c1.${category}`, status: { text: `${category}${sequence}` } });
  const answer = {
    conversation: "c1", epoch: "e",
    snapshot: { up_to_seq: 9, truncated: true, statuses: [status("tool", 9)], left_out: [{ category: "engine", seq: 4 }, { category: "info", seq: 6 }, "odd", { category: "error" }] },
  };
  const stored = [readStatus("status.c1.engine", 4, { text: "engine4" }, {}, { replayed: true }), readStatus("status.c1.info", 6, { text: "info6" }, {}, { replayed: true })];
  const asked: PageQuery[] = [];
  const requests = (parts: readonly Status[] | Error) =>
    ({
      json: () => Promise.resolve(answer),
      page: (_: unknown, query: PageQuery) => {
        asked.push(query);
        return parts instanceof Error ? Promise.reject(parts) : Promise.resolve({ parts: parts.map((one) => ({ status: one })) });
      },
    }) as unknown as Requests;
  const nats = {} as NatsConnection;
  const told = ({ snapshot: { statuses, truncated } }: Welcome): unknown => [truncated, statuses.map(({ text, snapshot, replayed }) => [text, snapshot, replayed])];
  assert.deepEqual(told(await join(requests(stored), nats, "c1")), [false, [["engine4", true, false], ["info6", true, false], ["tool9", true, false]]]);
  assert.deepEqual(asked[0], { conversation: "c1", categories: ["engine", "info"], place: { epoch: "e", after: 3, seen: { engine: 3, info: 5 } }, limit: 2 });
  // Of what is not wanted nothing is asked for, and nothing is missing.
  assert.deepEqual(told(await join(requests(stored), nats, "c1", ["info"])), [false, [["info6", true, false], ["tool9", true, false]]]);
  assert.deepEqual(asked[1]?.place, { epoch: "e", after: 5, seen: { info: 5 } });
  assert.deepEqual(told(await join(requests(stored), nats, "c1", ["tool"])), [false, [["tool9", true, false]]]);
  assert.equal(asked.length, 2);
  // What retention has taken meanwhile is missing, and a newer one comes by the subscription.
  assert.deepEqual(told(await join(requests([readStatus("status.c1.engine", 12, {}, {})]), nats, "c1")), [true, [["tool9", true, false]]]);
  assert.deepEqual(told(await join(requests(new RequestError("ahead_of_stream", "reset")), nats, "c1")), [true, [["tool9", true, false]]]);
  await assert.rejects(join(requests(new RequestError("refused", "odd")), nats, "c1"), { kind: "refused" });
});

test("a queue hands over what is in it, then its end", async () => {
  const queue = new Queue<number>();
  const first = queue.take();
  queue.push(1);
  queue.push(2);
  assert.deepEqual([await first, queue.isEmpty], [1, false]);
  queue.end(new Error("over"));
  queue.push(3);
  assert.equal(await queue.take(), 2);
  await assert.rejects(queue.take(), /over/);
  const quiet = new Queue<number>();
  const waiting = quiet.take();
  quiet.end();
  assert.equal(await waiting, undefined);
});

test("a queue that never runs empty holds nothing that was taken", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const queue = new Queue<object>();
  queue.push({});
  const taken: WeakRef<object>[] = [];
  for (let i = 0; i < 1_000; i++) {
    queue.push({});
    taken.push(new WeakRef((await queue.take()) as object));
  }
  await new Promise((resolve) => setImmediate(resolve)); // what a WeakRef has shown lives that long
  collectGarbage();
  assert.equal(queue.isEmpty, false);
  assert.ok(taken.filter((ref) => ref.deref() !== undefined).length < 10);
});
