import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AuthenticationError } from "../../../client/dist/mod.js";
import { collect, Events, Server } from "./statuswire.mjs";
import { until } from "../until.mjs";

describe("tokens that end", () => {
  let server;
  let publish;
  before(async () => {
    server = await Server.start();
    publish = await server.publisher();
  });
  after(() => server.close());

  test("a fresh one is handed in before the end, again and again, and the connection stays", { timeout: 40_000 }, async (t) => {
    const { user } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    let asked = 0;
    const client = await server.connect(t, {
      onEvent: events.add,
      token: () => {
        asked++;
        return server.sign(user, 4);
      },
    });
    const { statuses } = collect(await client.conversation(c).subscribe());
    const renewed = await events.atLeast(3, "token");
    assert.ok(renewed[2].expires > renewed[0].expires, JSON.stringify(renewed));
    await publish(c, "engine", "long after the first token's end");
    await until(() => statuses.length === 1, "a status");
    assert.ok(asked >= 4, `${asked}`);
    assert.deepEqual(events.list.filter(({ type }) => type !== "token").map(({ type }) => type), ["connected"]);
  });

  for (const [clock, wrongSeconds] of [["fast", 3_600], ["slow", -3_600]]) {
    test(`the same by a clock that is an hour ${clock}: in time, and not without end`, { timeout: 60_000 }, async (t) => {
      const { user } = await server.newUser();
      const events = new Events();
      const right = Date.now;
      t.after(() => (Date.now = right));
      Date.now = () => right() + wrongSeconds * 1_000;
      const began = performance.now();
      await server.connect(t, { onEvent: events.add, token: () => server.sign(user, 8 - wrongSeconds) });
      await events.atLeast(2, "token");
      assert.ok(performance.now() - began > 4_000, "two were handed in at once");
      assert.deepEqual(events.list.map(({ type }) => type), ["connected", "token", "token"]);
    });
  }

  test("one that is refused changes nothing until the end; then the client comes back with a good one", { timeout: 40_000 }, async (t) => {
    const [alice, bob] = [await server.newUser("alice"), await server.newUser("bob")];
    const c = await server.newConversation(alice.user);
    const events = new Events();
    const next = [() => server.sign(alice.user, 5), () => bob.token];
    const client = await server.connect(t, { onEvent: events.add, token: () => (next.shift() ?? (() => server.sign(alice.user, 60)))() });
    const { statuses } = collect(await client.conversation(c).subscribe());
    const [{ error }] = await events.atLeast(1, "token failed");
    assert.ok(error instanceof AuthenticationError, String(error));
    assert.equal(error.kind, "token_other_user");
    await publish(c, "engine", "meanwhile");
    await until(() => statuses.length === 1, "a status");
    // The third one is good: handed in, if there is still time for it, or with the next login.
    await until(() => events.count("token") + events.count("connected") >= 2, () => `the third token; there are ${JSON.stringify(events.list)}`);
    await publish(c, "engine", "afterwards");
    await until(() => statuses.length === 2, "another status");
  });

  test("a fixed one that ends closes the client with the reason", { timeout: 40_000 }, async (t) => {
    const { user } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { onEvent: events.add, token: await server.sign(user, 2) });
    const { end } = collect(await client.conversation(c).subscribe());
    const reason = await client.closed;
    assert.equal(reason.kind, "token_expired");
    assert.equal(await end, reason);
    assert.equal((await events.atLeast(1, "disconnected"))[0].error.kind, "grant_expired");
    assert.deepEqual((await events.atLeast(1, "closed"))[0].error, reason);
  });

  test("each attempt has a fresh one", { timeout: 40_000 }, async (t) => {
    const { user } = await server.newUser();
    const tokens = [];
    const events = new Events();
    await server.connect(t, {
      onEvent: events.add,
      token: async () => {
        tokens.push(await server.sign(user, 600));
        return tokens.at(-1);
      },
    });
    await server.kill("SIGTERM");
    await server.launch();
    await events.atLeast(2, "connected");
    assert.ok(tokens.length >= 2 && new Set(tokens).size === tokens.length, `${tokens.length}`);
  });
});
