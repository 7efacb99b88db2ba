import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { AccessError, AuthenticationError, connect, ConnectionError, LimitError, RequestError } from "../../../client/dist/mod.js";
import { Proxy } from "./proxy.mjs";
import { collect, Events, Server } from "./statuswire.mjs";
import { until } from "../until.mjs";

describe("being refused", () => {
  let server;
  let publish;
  before(async () => {
    server = await Server.start(undefined, "limits { connections_per_user: 3 }\n");
    publish = await server.publisher();
  });
  after(() => server.close());

  test("a stranger's conversation, for statuses, presence, history and join", async (t) => {
    const [alice, bob] = [await server.newUser("alice"), await server.newUser("bob")];
    const theirs = await server.newConversation(bob.user);
    const client = await server.connect(t, { token: alice.token });
    const conversation = client.conversation(theirs);
    const refused = (error) => error instanceof AccessError && error.kind === "not_theirs" && error.message.includes(theirs) && !error.retryable;
    await assert.rejects(conversation.subscribe(), refused);
    await assert.rejects(conversation.subscribe(["engine", "tool"]), refused);
    await assert.rejects(conversation.presence(), refused);
    await assert.rejects(conversation.join(), refused);
    await assert.rejects(conversation.history().next(), refused);
    assert.equal(client.state, "connected");
    const mine = await server.newConversation(alice.user);
    const { statuses } = collect(await client.conversation(mine).subscribe());
    await publish(mine, "engine", "still works");
    await until(() => statuses.length === 1, "a status");
  });

  test("access that is lost ends what lives on it with the reason, and nothing else", async (t) => {
    const [alice, bob] = [await server.newUser("alice"), await server.newUser("bob")];
    const shared = await server.newConversation(bob.user, "--member", alice.user);
    const mine = await server.newConversation(alice.user);
    const client = await server.connect(t, { token: alice.token });
    const ends = [];
    const subscription = await client.conversation(shared).subscribe(["engine", "tool"], { onEnd: (error) => ends.push(error) });
    const presence = await client.conversation(shared).presence();
    const kept = await client.conversation(mine).subscribe();
    const { statuses, end } = collect(subscription);
    await publish(shared, "engine", "while a member");
    await until(() => statuses.length === 1, "a status");
    await server.run("conversation", "remove", shared, "--member", alice.user);
    const error = await end;
    assert.ok(error instanceof AccessError, String(error));
    assert.equal(error.kind, "access_ended");
    assert.deepEqual([ends, await subscription.closed], [[error], error]);
    assert.equal((await presence.closed).kind, "access_ended");
    assert.equal(kept.state, "live");
    const { subscriptions } = await client.subscriptions();
    assert.deepEqual(subscriptions.map(({ subject }) => subject).filter((s) => /^(status|presence)/.test(s)), [`status.${mine}.*`]);
  });

  test("the limits on categories and on changes, with the time to wait", async (t) => {
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const d = await server.newConversation(user);
    const client = await server.connect(t, { token });
    const all = await client.conversation(c).subscribe();
    await assert.rejects(client.conversation(d).subscribe(), (error) => {
      assert.ok(error instanceof LimitError, String(error));
      assert.deepEqual([error.kind, error.limit], ["limited", "categories"]);
      return true;
    });
    all.unsubscribe();
    await assert.rejects(async () => {
      for (let i = 0; i < 40; i++) (await client.conversation(d).subscribe(["engine"])).unsubscribe();
    }, (error) => {
      assert.ok(error instanceof LimitError, String(error));
      assert.equal(error.limit, "subscription_changes");
      assert.ok(error.retryAfterMillis > 0 && error.retryAfterMillis <= 60_000, `${error.retryAfterMillis}`);
      return true;
    });
  });

  test("names that cannot be are refused before anything is sent", async (t) => {
    const { token } = await server.newUser();
    const client = await server.connect(t, { token });
    assert.throws(() => client.conversation("no spaces"), { name: "RequestError", kind: "bad_conversation" });
    const conversation = client.conversation("c1");
    await assert.rejects(conversation.subscribe(["Engine"]), { kind: "bad_category" });
    await assert.rejects(conversation.subscribe([], { queue: 1 }), { kind: "bad_request" });
    await assert.rejects(conversation.history({ categories: ["*"] }).next(), { kind: "bad_category" });
  });

  test("a token that is refused ends the attempt with the reason: at once when it is fixed", async () => {
    const { user } = await server.newUser();
    const events = new Events();
    await assert.rejects(connect({ servers: server.ws, WebSocket, token: "nonsense", onEvent: events.add }), (error) => {
      assert.ok(error instanceof AuthenticationError, String(error));
      assert.equal(error.kind, "token_malformed");
      return true;
    });
    assert.deepEqual(events.list.map(({ type }) => type), ["closed"]);
    await assert.rejects(connect({ servers: server.ws, WebSocket, token: await server.sign(user, -3_600) }), { kind: "token_expired" });
    await assert.rejects(connect({ servers: server.ws, WebSocket }), { kind: "no_token" });
  });

  test("a function is asked once more, and given up when it has no other or a bad one again", async (t) => {
    const { user, token } = await server.newUser();
    let asked = 0;
    const options = { servers: server.ws, WebSocket, reconnect: { firstMillis: 10 } };
    await assert.rejects(connect({ ...options, token: async () => (asked++, "same") }), { kind: "token_malformed" });
    assert.equal(asked, 2);
    const bad = () => server.sign(user, -3_600);
    await assert.rejects(connect({ ...options, token: bad }), { kind: "token_expired" });
    const tokens = [await bad(), token];
    const client = await server.connect(t, { ...options, token: () => tokens.shift() });
    assert.equal(client.state, "connected");
  });

  test("a token that cannot be got is asked for again", async (t) => {
    const { token } = await server.newUser();
    const events = new Events();
    let asked = 0;
    await server.connect(t, {
      onEvent: events.add,
      token() {
        if (++asked < 3) throw new Error("the application's server is down");
        return token;
      },
    });
    const errors = events.list.filter(({ type }) => type === "reconnecting").map(({ error }) => error);
    assert.deepEqual(errors.map(({ kind, message }) => [kind, message]), Array(2).fill(["token_unavailable", "there is no token: the application's server is down"]));
  });

  test("a server that is not there is waited for, or not, as one likes", async (t) => {
    const proxy = await Proxy.start(t, server.port);
    const { token } = await server.newUser();
    proxy.refuse(true);
    const options = { servers: proxy.ws, token, WebSocket };
    await assert.rejects(connect({ ...options, waitOnFirstConnect: false }), (error) => {
      assert.ok(error instanceof ConnectionError, String(error));
      assert.deepEqual([error.kind, error.retryable], ["connect_failed", true]);
      return true;
    });
    await assert.rejects(connect({ ...options, signal: AbortSignal.timeout(300) }), { name: "TimeoutError" });
    const events = new Events();
    const coming = server.connect(t, { ...options, onEvent: events.add });
    await events.atLeast(2, "reconnecting");
    proxy.refuse(false);
    assert.equal((await coming).state, "connected");
  });

  test("one connection too many is closed with the limit, and comes when another has gone", async (t) => {
    const { token } = await server.newUser();
    const clients = await Promise.all([1, 2, 3].map(() => server.connect(t, { token })));
    const events = new Events();
    const coming = server.connect(t, { token, onEvent: events.add });
    const [{ error }] = await events.atLeast(1, "reconnecting");
    assert.ok(error instanceof LimitError, String(error));
    assert.equal(error.limit, "connections_per_user");
    await clients[0].close();
    assert.equal((await coming).state, "connected");
  });
});
