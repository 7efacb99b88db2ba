import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Change, difference, type Member, readChange, readMembers, Roster } from "../src/presence.ts";

const member = (user: string, connections = 1, since = 0): Member => ({ user, connections, since: new Date(since) });
const users = (roster: Roster): string[] => roster.members.map(({ user, connections }) => `${user}${connections}`);
const change = (version: number, after: number, more: Partial<Change> = {}): Change => ({ version, after, reset: false, joins: [], leaves: [], ...more });

test("changes before the answer count, those that it has already do no harm", () => {
  const roster = new Roster();
  roster.asked();
  roster.changed(change(5, 4, { joins: [member("bob")] }));
  roster.changed(change(6, 5, { joins: [member("alice", 2)] }));
  assert.deepEqual(users(roster), []);
  roster.answered([member("alice", 1), member("bob", 1, -1)], false);
  assert.deepEqual(users(roster), ["alice2", "bob1"]);
});

test("a version that does not follow says that something was missed", () => {
  const roster = new Roster();
  roster.asked();
  roster.answered([], false);
  assert.equal(roster.changed(change(5, 4)), false);
  assert.equal(roster.changed(change(6, 5)), false);
  assert.equal(roster.changed(change(9, 8)), true);
  assert.equal(roster.changed(change(12, 0, { reset: true })), false);
  roster.interrupted();
  assert.equal(roster.changed(change(20, 19)), false);
});

test("a reset begins a whole list, which may go on", () => {
  const roster = new Roster();
  roster.asked();
  roster.answered([member("alice"), member("bob")], true);
  roster.changed(change(5, 0, { reset: true, joins: [member("carol")] }));
  roster.changed(change(6, 5, { joins: [member("alice", 3)], leaves: ["nobody"] }));
  assert.deepEqual([users(roster), roster.truncated], [["alice3", "carol1"], false]);
});

test("members are in the order of arrival", () => {
  const roster = new Roster();
  roster.answered([member("a", 1, 3), member("b", 1, 1), member("c", 1, 2)], false);
  assert.deepEqual(users(roster), ["b1", "c1", "a1"]);
  assert.deepEqual(difference([member("a"), member("b")], [member("b"), member("c")]), { joined: [member("c")], left: [member("a")] });
});

test("what is no member and no change is none", () => {
  assert.deepEqual(readMembers([{ user: "a", connections: 2, since: "1970-01-01T00:00:00Z" }, {}, null]), [member("a", 2)]);
  assert.deepEqual([readMembers("x"), readChange(null), readChange({}), readChange({ version: "1" })], [[], undefined, undefined, undefined]);
  assert.deepEqual(readChange({ version: 2, after: 1, leaves: [{ user: "bob" }] }), change(2, 1, { leaves: ["bob"] }));
});

/**
 * A server that announces its changes in order, some of which are lost, and
 * answers for the whole list; a client that asks whenever the roster says so.
 */
test("whatever is lost, the list is right when it is quiet", () => {
  const step = fc.record({ op: fc.constantFrom("join", "leave", "announce", "lose", "answer", "reset"), user: fc.constantFrom("a", "b", "c"), count: fc.integer({ min: 1, max: 3 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (steps) => {
      const truth = new Map<string, Member>();
      let told = new Map<string, Member>();
      let version = 0;
      const roster = new Roster();
      let asked = true;
      roster.asked();
      const announce = (isLost: boolean, isReset = false): void => {
        const [before, after] = [[...told.values()], [...truth.values()]];
        const { left } = difference(before, after);
        const joins = isReset ? after : after.filter((now) => told.get(now.user)?.connections !== now.connections);
        told = new Map(truth);
        const message = change(version + 1, isReset ? 0 : version++, { reset: isReset, joins, leaves: isReset ? [] : left.map(({ user }) => user) });
        version = message.version;
        if (isLost || !roster.changed(message) || asked) return;
        asked = true;
        roster.asked();
      };
      const answer = (): void => {
        if (asked) roster.answered([...truth.values()], false);
        asked = false;
      };
      for (const { op, user, count } of steps) {
        if (op === "join") truth.set(user, member(user, count));
        else if (op === "leave") truth.delete(user);
        else if (op === "answer") answer();
        else announce(op === "lose", op === "reset");
      }
      // 20 s after the last change the list comes once more.
      announce(false);
      answer();
      announce(false, true);
      answer();
      assert.deepEqual(users(roster), [...truth.values()].map(({ user, connections }) => `${user}${connections}`).sort());
    }),
  );
});
