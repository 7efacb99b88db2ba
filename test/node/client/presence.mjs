import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Proxy } from "./proxy.mjs";
import { Events, Server } from "./statuswire.mjs";
import { until } from "../until.mjs";

describe("who is present", () => {
  let server;
  let alice;
  let bob;
  before(async () => {
    server = await Server.start();
    [alice, bob] = [await server.newUser("alice"), await server.newUser("bob")];
  });
  after(() => server.close());

  const usersOf = (members) => members.map(({ user }) => user.split("-")[0]);

  test("the list at once, then who comes and who leaves", { timeout: 40_000 }, async (t) => {
    const c = await server.newConversation(alice.user, "--member", bob.user);
    const client = await server.connect(t, { token: alice.token });
    const changes = [];
    const presence = await client.conversation(c).presence({ onChange: (change) => changes.push(change) });
    assert.deepEqual([usersOf(presence.members), presence.truncated], [["alice"], false]);
    const other = await server.connect(t, { token: bob.token });
    await other.conversation(c).subscribe(["engine"]);
    await until(() => presence.members.length === 2, "bob");
    const [, second] = presence.members;
    assert.deepEqual([second.user, second.connections], [bob.user, 1]);
    assert.ok(Math.abs(second.since.getTime() - Date.now()) < 60_000);
    const third = await server.connect(t, { token: bob.token });
    await third.conversation(c).subscribe(["engine"]);
    await until(() => presence.members[1]?.connections === 2, "bob's second tab");
    await Promise.all([other.close(), third.close()]);
    await until(() => presence.members.length === 1, "bob to leave");
    const told = changes.map(({ joined, left }) => [usersOf(joined), usersOf(left)]);
    assert.deepEqual(told[0], [["alice"], []]);
    assert.deepEqual(told.filter(([joined, left]) => joined.length + left.length > 0).slice(1), [[["bob"], []], [[], ["bob"]]]);
  });

  test("iterating gives the list as it is, whenever it has changed", { timeout: 40_000 }, async (t) => {
    const c = await server.newConversation(alice.user, "--member", bob.user);
    const client = await server.connect(t, { token: alice.token });
    const presence = await client.conversation(c).presence();
    const steps = [];
    for await (const { members, joined } of presence) {
      steps.push([usersOf(members), usersOf(joined)]);
      if (members.length === 2) break;
      if (steps.length === 1) await (await server.connect(t, { token: bob.token })).conversation(c).presence();
    }
    assert.deepEqual(steps[0], [["alice"], ["alice"]]);
    assert.deepEqual(steps.at(-1), [["alice", "bob"], ["bob"]]);
    assert.equal(await presence.closed, undefined);
  });

  test("the list is right again after the connection was lost", { timeout: 40_000 }, async (t) => {
    const c = await server.newConversation(alice.user, "--member", bob.user);
    const proxy = await Proxy.start(t, server.port);
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token, onEvent: events.add });
    const presence = await client.conversation(c).presence();
    proxy.refuse(true);
    proxy.cut();
    await events.atLeast(1, "disconnected");
    const other = await server.connect(t, { token: bob.token });
    await other.conversation(c).subscribe();
    proxy.refuse(false);
    await until(() => presence.members.length === 2, () => `bob; there are ${JSON.stringify(presence.members)}`);
  });
});
