import assert from "node:assert/strict";
import { test } from "node:test";
import { detailsOf, parseJson, parseSequence, parseStatus, progressOf, shorten } from "../src/status.ts";

const read = (value: unknown) => parseStatus("status.c1.engine", value);

test("a status is read with all of its fields", () => {
  const status = read({
    category: "engine",
    text: "Processing…",
    metadata: { step: 1, total_steps: 3 },
    timestamp: "2024-01-19T12:00:00Z",
    priority: "high",
  });
  assert.equal(status.category, "engine");
  assert.equal(status.text, "Processing…");
  assert.equal(status.timestamp?.toISOString(), "2024-01-19T12:00:00.000Z");
  assert.equal(status.priority, "high");
  assert.deepEqual(progressOf(status), { step: 1, total: 3 });
});

test("the category is the subject's, whatever the body says", () => {
  assert.equal(read({ category: "error" }).category, "engine");
});

for (const [name, value] of [
  ["no JSON at all", parseJson("{")],
  ["null", null],
  ["a list", [1, 2]],
  ["fields of the wrong types", { text: 7, metadata: "x", timestamp: "yesterday", priority: "loud" }],
] as const) {
  test(`${name} becomes an empty status`, () => {
    const status = read(value);
    assert.deepEqual(
      [status.text, status.metadata, status.timestamp, status.priority],
      ["", {}, null, "normal"],
    );
  });
}

for (const [name, metadata, want] of [
  ["a step beyond the total is cut to it", { step: 9, total_steps: 3 }, { step: 3, total: 3 }],
  ["a negative step is none done", { step: -1, total_steps: 3 }, { step: 0, total: 3 }],
  ["a total of nothing is no progress", { step: 1, total_steps: 0 }, null],
  ["a text is no step", { step: "1", total_steps: 3 }, null],
] as const) {
  test(name, () => assert.deepEqual(progressOf(read({ text: "x", metadata })), want));
}

test("details leave the progress out and are bounded", () => {
  const status = read({ metadata: { step: 1, total_steps: 2, a: "x", b: { c: [1] }, d: null } });
  assert.deepEqual(detailsOf(status, 2), [["a", "x"], ["b", '{"c":[1]}']]);
});

test("a text is never cut inside a surrogate pair", () => {
  assert.equal(shorten("ab😀cd", 4), "ab…");
  assert.equal(shorten("abcd", 4), "abcd");
});

test("a sequence header is a whole number or nothing", () => {
  assert.equal(parseSequence("42"), 42);
  for (const header of ["", "-1", "4x", undefined]) assert.equal(parseSequence(header), null);
});
