import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Step, World, type WorldOptions } from "./world.ts";

fc.configureGlobal({ numRuns: Number(process.env.RUNS ?? 2_000), includeErrorInReport: true });

/** Often what moves things on, sometimes what disturbs, seldom what destroys. */
const weights: Record<Step["op"], number> = {
  publish: 12,
  lose: 2,
  double: 2,
  arrive: 12,
  answer: 6,
  "answer late": 2,
  send: 4,
  fail: 2,
  lag: 1,
  repeat: 2,
  subscribed: 6,
  due: 4,
  refuse: 1,
  cut: 2,
  connect: 6,
  consume: 6,
  refresh: 2,
  drop: 1,
  purge: 1,
  reset: 1,
  anew: 1,
  notice: 1,
};

/** They break what else always holds, and have a property of their own. */
const underTheClient: readonly Step["op"][] = ["anew", "notice"];

const ops = Object.keys(weights) as Step["op"][];

function steps(without: readonly Step["op"][] = [], isAnew = false): fc.Arbitrary<Step[]> {
  const choice = fc.oneof(...ops.filter((op) => !without.includes(op) && (underTheClient.includes(op) ? isAnew : true)).map((op) => ({ weight: weights[op], arbitrary: fc.constant(op) })));
  return fc.array(fc.record({ op: choice, n: fc.nat(11) }), { minLength: 10, maxLength: 150, size: "max" });
}

const options: fc.Arbitrary<WorldOptions> = fc.record(
  {
    hold: fc.integer({ min: 1, max: 4 }),
    room: fc.oneof(fc.integer({ min: 2, max: 6 }), fc.constant(Infinity)),
    page: fc.integer({ min: 1, max: 5 }),
    serverPage: fc.integer({ min: 1, max: 3 }),
    perCategory: fc.integer({ min: 1, max: 4 }),
    categories: fc.constantFrom(["a"], ["a", "c"]),
    snapshot: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** Runs the steps, lets everything come to rest, and looks at what was delivered. */
function holds(config: WorldOptions, todo: readonly Step[]): void {
  const world = new World(config);
  world.step({ op: "connect", n: 0 });
  world.run(todo);
  world.settle();
  assert.deepEqual(world.faults(), [], world.story());
}

// A status that is lost on its way, or not yet in what the history is read from, *and*
// dropped by retention before the next one of its category comes cannot be noticed by a
// client: that neither happens is the server's to see to.
const cases: [string, Step["op"][]][] = [
  ["while nothing is dropped, nothing is lost, doubled or put out of order, and nothing reported", ["drop", "purge", "reset"]],
  ["with retention at work, what is missing was reported where it is missing", ["lose", "lag"]],
];
for (const [name, without] of cases) {
  test(name, () => {
    fc.assert(
      fc.property(options, steps(without), (config, todo) => {
        const { perCategory: _, ...unbounded } = config;
        holds(without.includes("drop") ? unbounded : config, todo);
      }),
    );
  });
}

/** A server that is stopped, loses its data, and stores more than there was while the client is away. */
test("a stream that was made anew and has outgrown the place is no place to go on from", () => {
  const life = fc.record({ stored: fc.integer({ min: 1, max: 12 }), todo: steps(["reset", "lose", "lag"]) });
  fc.assert(
    fc.property(options, fc.array(life, { minLength: 2, maxLength: 4 }), (config, lives) => {
      const world = new World(config);
      for (const [i, { stored, todo }] of lives.entries()) {
        if (i > 0) world.step({ op: "reset", n: 0 });
        for (let n = 0; n < stored * (i + 1); n++) world.step({ op: "publish", n });
        world.settle();
        world.run(todo.slice(0, 40));
        world.settle();
      }
      assert.deepEqual(world.faults(), [], world.story());
      assert.equal(world.log.filter((line) => "truncated" in line && line.truncated === "reset").length, lives.length - 1, world.story());
    }),
    { numRuns: Number(process.env.RUNS ?? 2_000) / 4 },
  );
});

// What the new stream has sent before the server or the client noticed may come once
// more, and some of it did not come at all. In the end all of it has. But for a
// connection that ends in that second: it is not told, and what of the old stream
// came late may stand in its place.
const quiet: Step["op"][] = ["purge", "lag", "lose", "drop"];
test("a stream that is made anew under the client is had as a whole behind the last report", () => {
  fc.assert(
    fc.property(options, steps(quiet, true), steps([...quiet, "cut", "reset", "refuse"], true), (config, before, after) => {
      const { perCategory: _, ...unbounded } = config;
      const world = new World(unbounded);
      world.step({ op: "connect", n: 0 });
      world.run(before);
      world.settle();
      world.step({ op: "anew", n: 0 });
      world.run(after);
      world.settle();
      assert.deepEqual(world.faultsAtLast(), [], world.story());
    }),
  );
});

test("while nothing is dropped, nothing is reported", () => {
  fc.assert(
    fc.property(options, steps(["drop", "purge", "reset", "lag"]), (config, todo) => {
      const { perCategory: _, ...rest } = config;
      const world = new World(rest);
      world.run(todo);
      world.settle();
      assert.deepEqual(world.log.filter((line) => "truncated" in line), []);
    }),
  );
});

test("from a place that was kept, everything after it comes", () => {
  fc.assert(
    fc.property(options, fc.nat(8), steps(["lose", "lag"]), (config, after, todo) => {
      const { snapshot: _, ...rest } = config;
      const world = new World({ ...rest, from: { epoch: "0", after, seen: {} } });
      for (let i = 0; i < 10; i++) world.step({ op: "publish", n: i });
      world.step({ op: "connect", n: 0 });
      world.run(todo);
      world.settle();
      assert.deepEqual(world.faults(), [], world.story());
    }),
  );
});
