import assert from "node:assert/strict";
import { test } from "node:test";
import type { Joined } from "../src/join.ts";
import { emptyModel, type Event, heldBack, type Model, shownTimeline, update } from "../src/model.ts";
import { type Delivered, parseStatus } from "../src/status.ts";
import { timelineLimit } from "../src/timeline.ts";

const at = new Date(0);

function status(category: string, seq: number | null, text = `${category} ${seq}`): Delivered {
  const subject = `status.c1.${category}`;
  return { seq, subject, status: parseStatus(subject, { text }) };
}

function answer(upTo: number, ...statuses: Delivered[]): Joined {
  return { conversation: "c1", epoch: "one", categories: ["engine", "tool"], snapshot: { upTo, statuses } };
}

const run = (start: Model, ...events: readonly Event[]): Model => events.reduce(update, start);
const joined = (upTo: number, ...statuses: Delivered[]): Event => ({ type: "joined", joined: answer(upTo, ...statuses), at });
const delivered = (one: Delivered): Event => ({ type: "delivered", delivered: one, at });
const texts = (model: Model): string[] => shownTimeline(model).entries.map((entry) => entry.delivered.status.text);
const on = (name: string): Event => ({ type: "category", name, on: true });

test("the snapshot is drawn, then what is live, newest first", () => {
  const model = run(emptyModel, joined(2, status("engine", 1), status("tool", 2)), on("engine"), delivered(status("engine", 3)));
  assert.deepEqual(texts(model), ["engine 3", "tool 2", "engine 1"]);
  assert.equal(model.latest.get("engine")?.delivered.seq, 3);
});

test("what is in the snapshot and comes live again is drawn once", () => {
  const model = run(emptyModel, joined(1, status("engine", 1)), on("engine"), delivered(status("engine", 1)));
  assert.deepEqual(texts(model), ["engine 1"]);
  assert.equal(model.doubles, 1);
});

test("a live status that overtook the snapshot is not drawn again by it", () => {
  const model = run(
    emptyModel,
    joined(1, status("engine", 1)),
    on("engine"),
    { type: "asking" },
    delivered(status("engine", 3)),
    joined(2, status("engine", 2)),
  );
  assert.deepEqual(texts(model), ["engine 3", "engine 1"]);
});

test("catching up draws nothing of a category that is switched off", () => {
  const model = run(emptyModel, joined(0), on("engine"), joined(2, status("engine", 1), status("tool", 2)));
  assert.deepEqual(texts(model), ["engine 1"]);
});

test("a stream that began anew and has outgrown what was seen is drawn from its beginning", () => {
  const later: Event = { type: "joined", joined: { ...answer(9, status("engine", 2, "new"), status("tool", 9)), epoch: "two" }, at };
  const model = run(emptyModel, joined(4, status("engine", 4)), on("engine"), on("tool"), { type: "asking" }, later, delivered(status("engine", 3, "live")));
  assert.deepEqual(texts(model), ["live", "tool 9", "new", "engine 4"]);
  assert.equal(model.epoch, "two");
});

test("a stream that began anew is drawn from its beginning", () => {
  const model = run(
    emptyModel,
    joined(9, status("engine", 9)),
    on("engine"),
    { type: "asking" },
    joined(1, status("engine", 1)),
    delivered(status("engine", 2)),
  );
  assert.deepEqual(texts(model), ["engine 2", "engine 1", "engine 9"]);
});

test("the timeline never grows beyond its bound", () => {
  const many = Array.from({ length: timelineLimit + 50 }, (_, i) => delivered(status("engine", i + 1)));
  const model = run(emptyModel, joined(0), on("engine"), ...many);
  assert.equal(model.timeline.entries.length, timelineLimit);
  assert.equal(model.timeline.added, timelineLimit + 50);
  assert.equal(model.categories[0]?.count, timelineLimit + 50);
});

test("a refused category is off, with its reason and one notice for one reason", () => {
  const model = run(
    emptyModel,
    joined(0),
    on("engine"),
    on("tool"),
    { type: "category refused", name: "engine", reason: "Not yours." },
    { type: "category refused", name: "tool", reason: "Not yours." },
  );
  assert.deepEqual(model.categories.map(({ state, reason }) => [state, reason]), [["refused", "Not yours."], ["refused", "Not yours."]]);
  assert.deepEqual(model.notices.list.map((notice) => notice.categories), [["engine", "tool"]]);
});

test("a refused conversation clears what was shown and says why", () => {
  const model = run(emptyModel, joined(1, status("engine", 1)), { type: "conversation refused", conversation: "x", reason: "Not found or not yours." });
  assert.equal(model.conversation, null);
  assert.deepEqual(texts(model), []);
  assert.equal(model.notices.list[0]?.text, "Not found or not yours.");
});

test("another conversation starts empty, and sequences do not carry over", () => {
  const other: Event = { type: "joined", at, joined: { ...answer(1, { ...status("engine", 1), subject: "status.c2.engine" }), conversation: "c2" } };
  const model = run(emptyModel, joined(9, status("engine", 9)), other);
  assert.deepEqual(texts(model), ["engine 1"]);
});

test("a pause holds the timeline and counts what comes meanwhile", () => {
  const paused = run(emptyModel, joined(0), on("engine"), delivered(status("engine", 1)), { type: "pause", on: true }, delivered(status("engine", 2)));
  assert.deepEqual(texts(paused), ["engine 1"]);
  assert.equal(heldBack(paused), 1);
  assert.deepEqual(texts(run(paused, { type: "pause", on: false })), ["engine 2", "engine 1"]);
});

test("a new connection starts without the refusals of the last one", () => {
  const model = run(emptyModel, { type: "notice", title: "t", text: "x" }, { type: "link", state: "connecting" });
  assert.deepEqual(model.notices.list, []);
});

test("a dismissed notice is gone, and a later one has an id of its own", () => {
  const first = run(emptyModel, { type: "notice", title: "t", text: "x" });
  const id = first.notices.list[0]?.id ?? 0;
  const model = run(first, { type: "dismiss", id }, { type: "notice", title: "t", text: "x" });
  assert.notEqual(model.notices.list[0]?.id, id);
});

test("a category may carry the name of an object's own property", () => {
  const model = run(emptyModel, delivered(status("constructor", 1)));
  assert.equal(model.latest.get("constructor")?.delivered.seq, 1);
});
