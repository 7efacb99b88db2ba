import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Proxy } from "./proxy.mjs";
import { collect, Events, Server } from "./statuswire.mjs";
import { until } from "../until.mjs";

/** What would keep the process from ending. The runner ends it by force, so that would not show it. */
const running = () => process.getActiveResourcesInfo().filter((type) => /^(Timeout|Immediate|TCPSocketWrap)$/.test(type)).length;

describe("following a conversation", () => {
  let server;
  let publish;
  let alice;
  before(async () => {
    server = await Server.start(undefined, "limits { subscription_changes: 10000 }\n");
    publish = await server.publisher();
    alice = await server.newUser("alice");
  });
  after(() => server.close());

  const newConversation = () => server.newConversation(alice.user);

  test("statuses of all categories come in order, with all they have", async (t) => {
    const c = await newConversation();
    await publish(c, "engine", "before");
    const client = await server.connect(t, { token: alice.token });
    const subscription = await client.conversation(c).subscribe();
    const sequence = await publish(c, "progress", "indexing", { metadata: { step: 1 }, priority: "high", id: "job-1" });
    await publish(c, "tool", "reading");
    const seen = [];
    for await (const status of subscription) {
      seen.push(status);
      if (seen.length === 2) break;
    }
    const { timestamp, ...first } = seen[0];
    assert.deepEqual(first, {
      conversation: c,
      category: "progress",
      text: "indexing",
      metadata: { step: 1 },
      priority: "high",
      id: "job-1",
      sequence,
      snapshot: false,
      replayed: false,
      headers: {},
    });
    assert.ok(Math.abs(timestamp.getTime() - Date.now()) < 60_000);
    assert.equal(seen[1].text, "reading");
    assert.equal(subscription.state, "ended"); // by the break
    assert.equal(await subscription.closed, undefined);
  });

  test("a snapshot comes first, then what is newer, of the categories named", async (t) => {
    const c = await newConversation();
    for (const text of ["old", "last"]) await publish(c, "engine", text);
    await publish(c, "info", "not asked for");
    const client = await server.connect(t, { token: alice.token });
    const subscription = await client.conversation(c).subscribe(["engine", "tool"], { snapshot: true });
    const { statuses } = collect(subscription);
    await publish(c, "info", "not asked for either");
    await publish(c, "tool", "live");
    await until(() => statuses.length >= 2, "two statuses");
    assert.deepEqual(statuses.map(({ text, snapshot }) => [text, snapshot]), [["last", true], ["live", false]]);
  });

  test("one SUB for all categories, one for each that is named, and one for two who name the same", async (t) => {
    const c = await newConversation();
    const client = await server.connect(t, { token: alice.token });
    const conversation = client.conversation(c);
    const all = await conversation.subscribe();
    const first = await conversation.subscribe(["engine", "tool"]);
    const second = await conversation.subscribe(["tool", "info"]);
    const subjects = async () => (await client.subscriptions()).subscriptions.map(({ subject }) => subject).filter((s) => s.startsWith("status."));
    assert.deepEqual(await subjects(), ["*", "engine", "info", "tool"].map((name) => `status.${c}.${name}`));
    const heard = [all, first, second].map((subscription) => collect(subscription).statuses);
    await publish(c, "tool", "for all three");
    await until(() => heard.every((list) => list.length === 1), "one each");
    second.unsubscribe();
    await publish(c, "tool", "for two");
    await until(() => heard[0].length === 2 && heard[1].length === 2, "two each");
    assert.equal(heard[2].length, 1);
    all.unsubscribe();
    assert.deepEqual(await subjects(), ["engine", "tool"].map((name) => `status.${c}.${name}`));
    assert.equal((await client.subscriptions()).limits.categories.used, 2);
  });

  test("a callback gets each, and may unsubscribe", async (t) => {
    const c = await newConversation();
    const client = await server.connect(t, { token: alice.token });
    const texts = [];
    let ended = 0;
    const subscription = await client.conversation(c).subscribe({
      onStatus(status) {
        texts.push(status.text);
        if (texts.length === 2) subscription.unsubscribe();
      },
      onEnd: (error) => (ended += error === undefined ? 1 : 100),
    });
    for (const text of ["1", "2", "3"]) await publish(c, "engine", text);
    await subscription.closed;
    assert.deepEqual([texts, ended], [["1", "2"], 1]);
    assert.throws(() => subscription[Symbol.asyncIterator](), /onStatus/);
  });

  test("a place that was kept goes on exactly there, in another client", async (t) => {
    const c = await newConversation();
    const first = await server.connect(t, { token: alice.token });
    const before = await first.conversation(c).subscribe(["engine", "tool"]);
    for (let i = 1; i <= 6; i++) await publish(c, i % 2 ? "engine" : "tool", `${i}`);
    const texts = [];
    for await (const { text } of before) {
      texts.push(text);
      if (text === "4") break;
    }
    const place = JSON.parse(JSON.stringify(before.place));
    await first.close();
    await publish(c, "engine", "7");
    const second = await server.connect(t, { token: alice.token });
    const { statuses } = collect(await second.conversation(c).subscribe(["engine", "tool"], { from: place }));
    await publish(c, "tool", "8");
    await until(() => statuses.length >= 4, "the rest");
    assert.deepEqual([...texts, ...statuses.map(({ text }) => text)], ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert.deepEqual(statuses.map(({ replayed }) => replayed), [true, true, true, false]);
  });

  test("a place that was kept in the middle of a snapshot leaves out what is older than that", async (t) => {
    const c = await newConversation();
    for (const [category, text] of [["engine", "old"], ["tool", "older than the last"], ["engine", "last"], ["tool", "last"]]) await publish(c, category, text);
    const client = await server.connect(t, { token: alice.token });
    const snapshot = await client.conversation(c).subscribe({ snapshot: true });
    const places = [snapshot.place];
    for await (const status of snapshot) {
      places.push(snapshot.place);
      if (status.category === "tool") break;
    }
    const rest = [];
    for (const from of places) {
      const { statuses } = collect(await client.conversation(c).subscribe({ from }));
      const last = await publish(c, "info", "now");
      await until(() => statuses.at(-1)?.sequence === last, "what is new");
      rest.push(statuses.filter(({ category }) => category !== "info").map(({ category, text }) => `${category} ${text}`));
    }
    assert.deepEqual(rest, [["engine last", "tool last"], ["tool last"], []]);
  });

  test("from a place with more behind it than may wait, a subscription begins and has all", { timeout: 20_000 }, async (t) => {
    const c = await newConversation();
    const all = Array.from({ length: 250 }, (_, i) => `${i}`);
    for (const text of all) await publish(c, "engine", text);
    const client = await server.connect(t, { token: alice.token });
    const subscription = await client.conversation(c).subscribe({ from: { after: 0, seen: {} }, queue: 100 });
    const { statuses } = collect(subscription);
    await until(() => statuses.length >= all.length, () => `${all.length}; there are ${statuses.length}`);
    assert.deepEqual(statuses.map(({ text }) => text), all);
  });

  test("a place that was never kept is none", async (t) => {
    const c = await newConversation();
    await publish(c, "engine", "before");
    const client = await server.connect(t, { token: alice.token });
    const { statuses } = collect(await client.conversation(c).subscribe({ from: JSON.parse("null"), queue: 100.5 }));
    await publish(c, "engine", "after");
    await until(() => statuses.length === 1, "a status");
    assert.equal(statuses[0].text, "after");
  });

  test("the history is read page by page, as far as it is taken", async (t) => {
    const c = await newConversation();
    const all = [];
    for (let i = 0; i < 30; i++) {
      const category = ["engine", "tool", "info"][i % 3];
      const sequence = await publish(c, category, `${i}`, { priority: i % 5 === 0 ? "high" : "low" });
      all.push({ category, sequence, text: `${i}`, high: i % 5 === 0 });
    }
    const client = await server.connect(t, { token: alice.token });
    const conversation = client.conversation(c);
    const texts = async (options) => {
      const list = [];
      for await (const status of conversation.history(options)) list.push(status.text);
      return list;
    };
    const want = (filter) => all.filter(filter).map(({ text }) => text);
    assert.deepEqual(await texts({}), want(() => true));
    assert.deepEqual(await texts({ after: all[9].sequence, categories: ["tool"] }), want(({ category }, i) => i > 9 && category === "tool"));
    assert.deepEqual(await texts({ minPriority: "normal" }), want(({ high }) => high));
    assert.deepEqual(await texts({ limit: 7 }), want((_, i) => i < 7));
    assert.deepEqual(await texts({ since: new Date(Date.now() + 60_000) }), []);
  });

  test("a signal ends a subscription, and one that has not begun", async (t) => {
    const c = await newConversation();
    const proxy = await Proxy.start(t, server.port);
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token });
    const controller = new AbortController();
    const subscription = await client.conversation(c).subscribe([], { signal: controller.signal });
    const { end } = collect(subscription);
    controller.abort();
    assert.equal(await end, undefined);
    const late = client.conversation(c).subscribe([], { signal: AbortSignal.abort(new Error("changed my mind")) });
    await assert.rejects(late, /changed my mind/);
    proxy.refuse(true);
    proxy.cut();
    await until(() => client.state === "reconnecting", "the connection to be lost");
    for (const begin of ["subscribe", "presence"]) {
      const leaving = new AbortController();
      const waiting = client.conversation(c)[begin]({ signal: leaving.signal });
      leaving.abort("any value is a reason");
      await assert.rejects(waiting, (reason) => reason === "any value is a reason");
    }
  });

  test("who subscribes as soon as the connection is back is not overlooked", { timeout: 10_000 }, async (t) => {
    const c = await newConversation();
    const proxy = await Proxy.start(t, server.port);
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token });
    const back = new Promise((resolve) => client.on(({ type }) => type === "connected" && resolve()));
    proxy.cut();
    await back;
    assert.equal((await client.conversation(c).subscribe()).state, "live");
  });

  test("a signal that goes off as soon as there is a connection ends it as one before does", async (t) => {
    const leaving = new AbortController();
    const onEvent = ({ type }) => type === "connected" && leaving.abort(new Error("too late"));
    await assert.rejects(server.connect(t, { token: alice.token, signal: leaving.signal, onEvent }), /too late/);
  });

  test("leaving an iterator ends it at once, begun or not, also while a next one is waited for", { timeout: 10_000 }, async (t) => {
    const c = await newConversation();
    const client = await server.connect(t, { token: alice.token });
    const conversation = client.conversation(c);
    for (const lives of [await conversation.subscribe(), await conversation.presence()]) {
      const [first] = [lives[Symbol.asyncIterator]()];
      await first.return();
      assert.equal(await lives.closed, undefined);
    }
    for (const lives of [await conversation.subscribe({ snapshot: true }), await conversation.presence()]) {
      const iterator = lives[Symbol.asyncIterator]();
      if (lives.members !== undefined) await iterator.next(); // the list as it is
      const waiting = iterator.next();
      await iterator.return();
      assert.deepEqual([(await waiting).done, await lives.closed], [true, undefined]);
    }
    assert.deepEqual((await client.subscriptions()).subscriptions.filter(({ subject }) => subject.includes(c)), []);
  });

  test("a history ends with its signal at once", { timeout: 10_000 }, async (t) => {
    const proxy = await Proxy.start(t, server.port);
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token });
    const controller = new AbortController();
    proxy.silence();
    const waiting = client.conversation(await newConversation()).history({ signal: controller.signal }).next();
    const began = performance.now();
    controller.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    assert.ok(performance.now() - began < 1_000);
  });

  test("a history that is left ends at once, also while a page is on its way", { timeout: 10_000 }, async (t) => {
    const proxy = await Proxy.start(t, server.port);
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token });
    proxy.silence();
    const history = client.conversation(await newConversation()).history();
    const waiting = history.next();
    const began = performance.now();
    await history.return();
    assert.deepEqual([(await waiting).done, (await history.next()).done], [true, true]);
    assert.ok(performance.now() - began < 1_000);
  });

  test("closing the client ends all that lives on it, without an error, and leaves nothing running", async (t) => {
    const c = await newConversation();
    const others = running();
    const events = [];
    const client = await server.connect(t, { token: alice.token, onEvent: ({ type }) => events.push(type) });
    const subscription = await client.conversation(c).subscribe();
    const presence = await client.conversation(c).presence();
    const { end } = collect(subscription);
    await client.close();
    await client.close();
    assert.deepEqual([await end, await subscription.closed, await presence.closed, await client.closed], [undefined, undefined, undefined, undefined]);
    assert.equal(client.state, "closed");
    assert.deepEqual(events, ["connected", "closed"]);
    await assert.rejects(client.conversation(c).subscribe(), { name: "ClosedError", kind: "closed" });
    await assert.rejects(client.subscriptions(), { kind: "closed" });
    await until(() => running() <= others, () => `nothing of it to run; there is ${process.getActiveResourcesInfo()}`);
  });

  test("what is asked for just then fails as closed", { timeout: 10_000 }, async (t) => {
    const proxy = await Proxy.start(t, server.port);
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token });
    proxy.silence();
    const conversation = client.conversation(await newConversation());
    const asked = [conversation.join(), client.subscriptions(), conversation.history().next()];
    const ended = Promise.allSettled(asked);
    await new Promise(setImmediate);
    await client.close();
    assert.deepEqual((await ended).map(({ reason }) => reason?.name), ["ClosedError", "ClosedError", "ClosedError"]);
  });

  test("also while it waits for a ping, or to ask for a history again", { timeout: 20_000 }, async (t) => {
    const c = await newConversation();
    const proxy = await Proxy.start(t, server.port);
    const timers = () => process.getActiveResourcesInfo().filter((type) => type === "Timeout").length;
    const others = timers();
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token: alice.token, onEvent: events.add });
    proxy.refuse(true);
    proxy.silence();
    const page = assert.rejects(client.conversation(c).history().next(), { kind: "closed" });
    const alive = client.probe(); // has four seconds
    proxy.cut();
    await events.atLeast(1, "disconnected");
    await client.close();
    await new Promise(setImmediate);
    assert.ok(timers() <= others, `${timers() - others} timers are left`);
    assert.equal(await alive, false);
    await page;
  });

  test("also while a token is asked for that never comes", { timeout: 20_000 }, async (t) => {
    const others = running();
    const leaving = new AbortController();
    let asked = false;
    const token = () => {
      asked = true;
      return new Promise(() => {});
    };
    const connecting = server.connect(t, { token, signal: leaving.signal });
    await until(() => asked, "a token to be asked for");
    leaving.abort(new Error("enough"));
    await assert.rejects(connecting, /enough/);
    await until(() => running() <= others, () => `nothing of it to run; there is ${process.getActiveResourcesInfo()}`);
  });

  test("a connection that lasts does not keep its pings", { timeout: 30_000 }, async (t) => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc");
    const quick = await Server.start(t, "limits { operations: 100000 }\n");
    const { token } = await quick.newUser();
    const client = await quick.connect(t, { token });
    const heapAfter = async (pings) => {
      for (let i = 0; i < pings; i++) await client.probe();
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(1_000);
    const grown = (await heapAfter(3_000)) - before;
    assert.ok(grown < 3_000 * 300, `${grown} bytes for 3000 pings`);
  });

  test("a client and a subscription can be disposed of", async (t) => {
    const c = await newConversation();
    const client = await server.connect(t, { token: alice.token });
    const [first, second] = [await client.conversation(c).subscribe(), await client.conversation(c).subscribe()];
    await first[Symbol.asyncDispose]();
    assert.deepEqual([first.state, second.state], ["ended", "live"]);
    await client[Symbol.asyncDispose]();
    assert.equal(second.state, "ended");
  });

  test("quiet subscriptions keep their place young", async (t) => {
    const c = await newConversation();
    const other = await newConversation();
    const client = await server.connect(t, { token: alice.token, refreshIntervalMillis: 50 });
    const subscription = await client.conversation(c).subscribe();
    const begun = subscription.place.after;
    const sequence = await publish(other, "engine", "elsewhere");
    await until(() => subscription.place.after >= sequence, "the place to move");
    assert.ok(sequence > begun);
  });
});
