import assert from "node:assert/strict";
import { test } from "node:test";
import { isDouble, noSequences, remember, startedOver } from "../src/sequences.ts";

test("a sequence is a double once it or a later one of its subject was drawn", () => {
  const seen = remember(noSequences, "status.c.a", 5);
  assert.equal(isDouble(seen, "status.c.a", 5), true);
  assert.equal(isDouble(seen, "status.c.a", 4), true);
  assert.equal(isDouble(seen, "status.c.a", 6), false);
  assert.equal(isDouble(seen, "status.c.b", 5), false);
});

test("a message without a sequence is never a double and leaves no trace", () => {
  const seen = remember(noSequences, "status.c.a", null);
  assert.equal(seen, noSequences);
  assert.equal(isDouble(seen, "status.c.a", null), false);
});

test("an older sequence does not lower what is remembered", () => {
  const seen = remember(remember(noSequences, "s", 7), "s", 3);
  assert.equal(seen.get("s"), 7);
});

test("a snapshot that ends below what was drawn comes from another stream", () => {
  const seen = remember(noSequences, "s", 7);
  assert.equal(startedOver(seen, 3), true);
  assert.equal(startedOver(seen, 7), false);
  assert.equal(startedOver(noSequences, 0), false);
});
