import assert from "node:assert/strict";
import { test } from "node:test";
import { type Action, type Event, type Live, Recovery, type RecoveryOptions } from "../src/recovery.ts";

type E = Event<string>;
const live = (category: string, sequence: number, last = 0, truncated?: number): E => ({
  type: "live",
  live: { category, sequence, value: `${category}${sequence}`, last, truncated } satisfies Live<string>,
});
const item = (category: string, sequence: number) => ({ category, sequence, value: `${category}${sequence}` });
const page = (id: number, nextAfter: number, items: [string, number][] = [], more = false): E => ({
  type: "page", id, nextAfter, more, items: items.map(([category, sequence]) => item(category, sequence)),
});

/** A machine that is live from sequence 10 on. */
function begun(options: RecoveryOptions = {}): Recovery<string> {
  const machine = new Recovery<string>({ from: { after: 10, seen: {} }, ...options });
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  machine.handle(page(1, 10));
  assert.equal(machine.phase, "live");
  return machine;
}

const told = (actions: Action<string>[]): string[] =>
  actions.map((action) => {
    switch (action.type) {
      case "deliver":
        return `${action.item.value} ${action.origin}`;
      case "history":
        return `history ${action.id} after ${action.place.after} ${JSON.stringify(action.place.seen)} limit ${action.limit}`;
      case "truncated":
        return `truncated ${action.reason} ${action.firstSequence}`;
      case "wait":
        return `wait ${action.id} attempt ${action.attempt}`;
      case "known":
        return `known ${action.after}`;
      case "join":
        return `join ${action.id}`;
      case "end":
        return action.error === undefined ? "end" : `end ${action.error.message}`;
      default:
        return action.type;
    }
  });

test("it begins with SUB, then a join, and delivers what is newer than its answer", () => {
  const machine = new Recovery<string>({ snapshot: true });
  assert.deepEqual(told(machine.handle({ type: "connected" })), ["subscribe"]);
  assert.deepEqual(told(machine.handle({ type: "subscribed" })), ["join 1"]);
  assert.deepEqual(told(machine.handle(live("a", 5))), []);
  assert.deepEqual(told(machine.handle(live("a", 6, 5))), []);
  assert.deepEqual(
    told(machine.handle({ type: "joined", id: 1, upTo: 5, statuses: [item("b", 2), item("a", 5)], truncated: false })),
    ["known 1", "b2 snapshot", "known 4", "a5 snapshot", "known 5", "started", "a6 live"],
  );
});

test("without a snapshot it begins at the join's sequence", () => {
  const machine = new Recovery<string>();
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  machine.handle(live("a", 6, 5));
  const out = told(machine.handle({ type: "joined", id: 1, upTo: 5, statuses: [item("a", 5)], truncated: true }));
  assert.deepEqual(out, ["known 5", "started", "a6 live"]);
});

test("a snapshot that does not have all says so", () => {
  const machine = new Recovery<string>({ snapshot: true });
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  const out = told(machine.handle({ type: "joined", id: 1, upTo: 5, statuses: [], truncated: true }));
  assert.deepEqual(out, ["truncated snapshot 6", "known 5", "started"]);
});

test("a gap before a live status is filled before it is delivered", () => {
  const machine = begun();
  assert.deepEqual(told(machine.handle(live("a", 11))), ["a11 live"]);
  assert.deepEqual(told(machine.handle(live("a", 14, 13))), ['history 2 after 10 {"a":11} limit 1000']);
  assert.deepEqual(told(machine.handle(page(2, 14, [["b", 12], ["a", 13], ["a", 14]]))), ["b12 replay", "a13 replay", "a14 replay", "known 14"]);
});

test("a last sequence that goes back is no gap", () => {
  const machine = begun();
  machine.handle(live("a", 11, 9));
  assert.deepEqual(told(machine.handle(live("a", 12, 0))), ["a12 live"]);
});

test("a gap that the history does not fill is asked for again, ever later", () => {
  const machine = begun();
  assert.deepEqual(told(machine.handle(live("a", 12, 11))), ["history 2 after 10 {} limit 1000"]);
  assert.deepEqual(told(machine.handle(page(2, 10))), ["known 10", "wait 3 attempt 0"]);
  assert.deepEqual(told(machine.handle({ type: "due", id: 3 })), ["history 4 after 10 {} limit 1000"]);
  assert.deepEqual(told(machine.handle(page(4, 10))), ["known 10", "wait 5 attempt 1"]);
  machine.handle({ type: "due", id: 5 });
  assert.deepEqual(told(machine.handle(page(6, 12, [["a", 11], ["a", 12]]))), ["a11 replay", "a12 replay", "known 12"]);
});

test("a live status that says what was dropped before it is delivered after the report", () => {
  assert.deepEqual(told(begun().handle(live("a", 20, 19, 15))), ["truncated retention 15", "a20 live"]);
});

test("a gap within a page is reported where the server marks it, else before the page", () => {
  const machine = begun();
  machine.handle({ type: "refresh" });
  const items = [item("a", 11), { ...item("b", 20), truncated: 20 }];
  const out = told(machine.handle({ type: "page", id: 2, items, nextAfter: 21, more: true, truncated: 20 }));
  assert.deepEqual(out, ["a11 replay", "truncated retention 20", "b20 replay", "known 21", "history 3 after 21 {} limit 1000"]);
  const rest = told(machine.handle({ type: "page", id: 3, items: [item("a", 40)], nextAfter: 40, more: false, truncated: 30 }));
  assert.deepEqual(rest, ["truncated retention 30", "a40 replay", "known 40"]);
});

test("a page that breaks off leaves nothing behind, and an answer from before is not taken", () => {
  const machine = begun();
  machine.handle(live("a", 12));
  machine.handle({ type: "disconnected" });
  assert.deepEqual(told(machine.handle(live("a", 13, 12))), []);
  machine.handle({ type: "connected" });
  assert.deepEqual(told(machine.handle({ type: "subscribed" })), ['history 2 after 10 {"a":12} limit 1000']);
  machine.handle({ type: "disconnected" });
  assert.deepEqual(told(machine.handle(page(2, 20, [["a", 13]]))), []);
  machine.handle({ type: "connected" });
  assert.deepEqual(told(machine.handle({ type: "subscribed" })), ['history 3 after 10 {"a":12} limit 1000']);
  assert.deepEqual(told(machine.handle(page(2, 20, [["a", 13]]))), []);
  assert.deepEqual(told(machine.handle(page(3, 20, [["a", 13]]))), ["a13 replay", "known 20"]);
});

test("a place does not go back", () => {
  const machine = begun();
  machine.handle({ type: "refresh" });
  assert.deepEqual(told(machine.handle(page(2, 7))), ["known 10"]);
});

test("pages follow one another, and what they have is no longer told as seen", () => {
  const machine = begun();
  machine.handle(live("a", 12));
  machine.handle(live("b", 15));
  machine.handle({ type: "refresh" });
  assert.deepEqual(told(machine.handle(page(2, 13, [], true))), ["known 13", 'history 3 after 13 {"b":15} limit 1000']);
});

test("a consumer without room is left to the history, and goes on when it has half its room", () => {
  const machine = begun({ room: 4 });
  for (let i = 11; i <= 14; i++) assert.equal(machine.handle(live("a", i, i - 1)).length, 1);
  assert.deepEqual(told(machine.handle(live("a", 15, 14))), []);
  assert.equal(machine.phase, "paused");
  assert.deepEqual(told(machine.handle({ type: "consumed", count: 1 })), []);
  assert.deepEqual(told(machine.handle({ type: "consumed", count: 1 })), ['history 2 after 10 {"a":14} limit 2']);
});

test("more than can be held is thrown away and read from the history", () => {
  const machine = begun({ hold: 2 });
  machine.handle({ type: "refresh" });
  for (let i = 11; i <= 14; i++) machine.handle(live("a", i, i - 1));
  assert.deepEqual(told(machine.handle(page(2, 11, [["a", 11]]))), ["a11 replay", "known 11", "history 3 after 11 {} limit 1000"]);
});

test("the end of the stream is believed to lie before the place when said three times", () => {
  const machine = begun();
  const ahead = (id: number): E => ({ type: "failed", id, error: new Error("ahead"), again: "never", ahead: true });
  machine.handle({ type: "refresh" });
  assert.deepEqual(told(machine.handle(ahead(2))), ["wait 3 attempt 0"]);
  machine.handle({ type: "due", id: 3 });
  assert.deepEqual(told(machine.handle(ahead(4))), ["wait 5 attempt 1"]);
  machine.handle({ type: "due", id: 5 });
  assert.deepEqual(told(machine.handle(ahead(6))), ["truncated reset 1", "history 7 after 0 {} limit 1000"]);
});

test("every question says which stream the place is of, and another one's page is a reset", () => {
  const machine = new Recovery<string>();
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  machine.handle({ type: "joined", id: 1, epoch: "old", upTo: 10, statuses: [], truncated: false });
  const ask = (): Action<string> | undefined => machine.handle({ type: "refresh" }).at(-1);
  assert.deepEqual(ask(), { type: "history", id: 2, place: { epoch: "old", after: 10, seen: {} }, limit: 1000 });
  machine.handle(live("a", 11)); // held, and perhaps the old one's
  const page: E = { type: "page", id: 2, epoch: "new", nextAfter: 30, more: false, items: [item("a", 12)] };
  assert.deepEqual(machine.handle(page), [
    { type: "truncated", firstSequence: 1, reason: "reset" },
    { type: "history", id: 3, place: { epoch: undefined, after: 0, seen: {} }, limit: 1000 },
  ]);
  const out = machine.handle({ ...page, id: 3, items: [item("a", 1)] });
  assert.deepEqual(told(out), ["known 0", "a1 replay", "known 30"]);
  assert.deepEqual(out[0], { type: "known", after: 0, epoch: "new" });
  assert.deepEqual(ask(), { type: "history", id: 4, place: { epoch: "new", after: 30, seen: {} }, limit: 1000 });
});

test("a subscription that ended as the data was reset begins from nothing", () => {
  const machine = begun();
  const reset: E = { type: "refused", error: new Error("reset"), again: "always", ahead: true };
  assert.deepEqual(told(machine.handle(reset)), ["truncated reset 1", "wait 2 attempt 0"]);
  machine.handle(live("a", 12)); // on its way still
  machine.handle({ type: "due", id: 2 });
  assert.deepEqual(told(machine.handle({ type: "subscribed" })), ["history 3 after 0 {} limit 1000"]);
  const fresh = new Recovery<string>();
  fresh.handle({ type: "connected" });
  assert.deepEqual(told(fresh.handle(reset)), ["wait 1 attempt 0"]);
});

test("a reset that ends each of several subjects is told once, and tried again once", () => {
  const machine = begun({ categories: ["a", "b", "c"] });
  const reset: E = { type: "refused", error: new Error("reset"), again: "always", ahead: true };
  assert.deepEqual(told(machine.handle(reset)), ["truncated reset 1", "wait 2 attempt 0"]);
  for (let i = 0; i < 2; i++) assert.deepEqual(told(machine.handle(reset)), []);
  assert.deepEqual(told(machine.handle({ type: "due", id: 2 })), ["subscribe"]);
  assert.deepEqual(told(machine.handle({ ...reset, again: "never" })), ["unsubscribe", "end reset"]);
});

test("a place that was kept without its stream takes that of the first page", () => {
  const machine = new Recovery<string>({ from: { after: 10, seen: {} } });
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  const out = machine.handle({ type: "page", id: 1, epoch: "new", nextAfter: 12, more: false, items: [item("a", 12)] });
  assert.deepEqual(told(out), ["known 10", "a12 replay", "known 12", "started"]);
});

test("it has begun with the first page, as nobody takes from it before", () => {
  const machine = new Recovery<string>({ from: { after: 10, seen: {} }, room: 2 });
  machine.handle({ type: "connected" });
  machine.handle({ type: "subscribed" });
  const out = machine.handle(page(1, 12, [["a", 11], ["a", 12]], true));
  assert.deepEqual(told(out), ["a11 replay", "a12 replay", "known 12", "started"]);
  assert.equal(machine.phase, "paused");
  assert.deepEqual(told(machine.handle({ type: "consumed", count: 2 })), ["history 2 after 12 {} limit 2"]);
  assert.deepEqual(told(machine.handle(page(2, 12))), ["known 12"]);
});

test("a final refusal ends it, one that passes does not", () => {
  const machine = begun();
  assert.deepEqual(told(machine.handle({ type: "refused", error: new Error("later"), again: "always" })), ["wait 2 attempt 0"]);
  assert.deepEqual(told(machine.handle({ type: "due", id: 2 })), ["subscribe"]);
  assert.deepEqual(told(machine.handle({ type: "subscribed" })), ["history 3 after 10 {} limit 1000"]);
  assert.deepEqual(told(machine.handle({ type: "failed", id: 3, error: new Error("busy"), again: "always" })), ["wait 4 attempt 1"]);
  assert.deepEqual(told(machine.handle({ type: "refused", error: new Error("not yours"), again: "never" })), ["unsubscribe", "end not yours"]);
  assert.deepEqual(told(machine.handle(live("a", 11))), []);
  assert.deepEqual(told(machine.handle({ type: "stop" })), []);
});

test("a limit refuses a new subscription, and delays one that is restored", () => {
  const refused: E = { type: "refused", error: new Error("30 changes"), again: "restoring", retryAfterMillis: 12_000 };
  const fresh = new Recovery<string>();
  fresh.handle({ type: "connected" });
  assert.deepEqual(told(fresh.handle(refused)), ["unsubscribe", "end 30 changes"]);
  const [wait] = begun().handle(refused);
  assert.deepEqual(wait, { type: "wait", id: 2, attempt: 0, retryAfterMillis: 12_000 });
});

test("unsubscribing ends it without an error", () => {
  assert.deepEqual(told(begun().handle({ type: "stop" })), ["unsubscribe", "end"]);
});
