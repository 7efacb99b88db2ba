import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Proxy } from "./proxy.mjs";
import { collect, Events, Server } from "./statuswire.mjs";
import { sleep, until } from "../until.mjs";

const categories = ["engine", "tool", "workflow"];

/**
 * Publishes numbered statuses until it is stopped, each until it is acknowledged:
 * with an id, so that one that was stored without our hearing of it is not stored
 * again.
 */
function publishOn(publish, conversation, everyMillis = 5) {
  const acknowledged = [];
  let running = true;
  const done = (async () => {
    for (let i = 1; running; i++) {
      const category = categories[i % categories.length];
      for (;;) {
        try {
          await publish(conversation, category, `${i}`, { id: `n${i}` });
          break;
        } catch {
          await sleep(50);
        }
      }
      acknowledged.push({ category, text: `${i}` });
      await sleep(everyMillis);
    }
  })();
  return {
    acknowledged,
    async stop() {
      running = false;
      await done;
    },
  };
}

/** Each once, in order within its category. */
async function assertExactlyOnce(statuses, acknowledged) {
  await until(() => statuses.length >= acknowledged.length, () => `all ${acknowledged.length}; there are ${statuses.length}`);
  for (const name of categories) {
    const of = (list) => list.filter(({ category }) => category === name).map(({ text }) => text);
    assert.deepEqual(of(statuses), of(acknowledged));
  }
}

describe("nothing lost, nothing twice", { concurrency: false }, () => {
  test("over cuts of the connection", async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add });
    const all = collect(await client.conversation(c).subscribe());
    const named = collect(await client.conversation(c).subscribe(categories));
    const publishing = publishOn(await server.publisher(), c);
    for (let i = 1; i <= 8; i++) {
      await sleep(50 + Math.random() * 200);
      proxy.cut();
      await events.atLeast(i + 1, "connected");
    }
    await publishing.stop();
    await assertExactlyOnce(all.statuses, publishing.acknowledged);
    await assertExactlyOnce(named.statuses, publishing.acknowledged);
    assert.equal(events.count("truncated"), 0);
    assert.ok(all.statuses.some(({ replayed }) => replayed), "nothing was replayed");
    assert.ok(events.list.every(({ type, error }) => type !== "disconnected" || error.kind === "connection_lost"), JSON.stringify(events.list));
  });

  test("over a network that falls silent, noticed by a ping, and by a page that wakes up", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add, pingIntervalMillis: 300, timeoutMillis: 1_000 });
    const { statuses } = collect(await client.conversation(c).subscribe());
    const publishing = publishOn(await server.publisher(), c);
    await until(() => statuses.length > 10, "some");
    proxy.silence();
    await events.atLeast(2, "connected");
    assert.equal((await events.atLeast(1, "disconnected"))[0].error.kind, "no_answer");
    // Once at once, while the subscription is still coming back, once when it is live again.
    for (let i = 3; i <= 4; i++) {
      proxy.silence();
      assert.equal(await client.probe(), false);
      await events.atLeast(i, "connected");
      const had = statuses.length;
      await until(() => statuses.length > had && statuses.at(-1).replayed === false, "live again");
    }
    await publishing.stop();
    await assertExactlyOnce(statuses, publishing.acknowledged);
    assert.equal(await client.probe(), true);
  });

  test("also when a ping still waits for the connection before", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.port);
    const { token } = await server.newUser();
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add, pingIntervalMillis: 300, timeoutMillis: 1_000 });
    proxy.silence();
    const before = client.probe(); // has four seconds
    proxy.cut();
    await events.atLeast(2, "connected");
    assert.equal(await client.probe(), true);
    assert.equal(await before, false);
    proxy.silence();
    await events.atLeast(3, "connected"); // pinged on its own
    assert.equal((await events.atLeast(2, "disconnected"))[1].error.kind, "no_answer");
  });

  test("over kill -9 and a restart of the server", { timeout: 90_000 }, async (t) => {
    const server = await Server.start(t);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { token, onEvent: events.add });
    const { statuses } = collect(await client.conversation(c).subscribe());
    const publishing = publishOn(await server.publisher(), c, 2);
    for (const [i, signal] of ["SIGKILL", "SIGTERM", "SIGKILL"].entries()) {
      await until(() => statuses.length > 50 * (i + 1), "some more");
      await server.kill(signal);
      await server.launch();
      await events.atLeast(i + 2, "connected");
    }
    await publishing.stop();
    await assertExactlyOnce(statuses, publishing.acknowledged);
    const reasons = (await events.atLeast(3, "disconnected")).map(({ error }) => error.kind);
    assert.equal(reasons[1], "server_stopping", `${reasons}`);
    assert.equal(events.count("truncated"), 0);
  });

  test("for a consumer that takes its time, in bounded memory", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const client = await server.connect(t, { token });
    const subscription = await client.conversation(c).subscribe([], { queue: 100 });
    const publish = await server.publisher();
    const acknowledged = [];
    for (let i = 1; i <= 1_000; i++) acknowledged.push({ category: "engine", text: `${i}`, promise: publish(c, "engine", `${i}`) });
    await Promise.all(acknowledged.map(({ promise }) => promise));
    await until(() => subscription.state === "catching up", "the queue to be full");
    const statuses = [];
    for await (const status of subscription) {
      statuses.push(status);
      if (statuses.length === 1_000) break;
    }
    const sequences = statuses.map(({ sequence }) => sequence);
    assert.deepEqual(sequences, [...sequences].sort((a, b) => a - b));
    assert.equal(new Set(statuses.map(({ text }) => text)).size, 1_000);
    assert.deepEqual([statuses[50].replayed, statuses[500].replayed], [false, true]);
  });

  test("over more than one page of the history", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add });
    const texts = [];
    await client.conversation(c).subscribe({ onStatus: ({ text }) => void texts.push(Number(text)) });
    proxy.refuse(true);
    proxy.cut();
    await events.atLeast(1, "disconnected");
    const publish = await server.publisher();
    for (let i = 0; i < 2_500; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, k) => publish(c, "engine", `${i + k}`)));
    }
    proxy.refuse(false);
    await until(() => texts.length >= 2_500, () => `2500; there are ${texts.length}`);
    assert.equal(new Set(texts).size, 2_500);
    // A hundred at once reach the server in any order, the hundreds do not.
    assert.deepEqual(texts.map((n) => Math.floor(n / 100)), texts.map((_, i) => Math.floor(i / 100)));
  });

  test("what retention has dropped is reported, where it is missing and with the first that is there", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t, "retention { max_per_subject: 3 }\n");
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add });
    const story = [];
    const truncations = [];
    // Of a named category the server can tell exactly what is missing.
    await client.conversation(c).subscribe(["engine"], {
      onStatus: ({ text }) => void story.push(text),
      onTruncated(truncation) {
        truncations.push(truncation);
        story.push("a gap");
      },
    });
    const publish = await server.publisher();
    /** Publishes these while the client is away; answers their sequences. */
    async function publishAway(texts) {
      const disconnects = events.count("disconnected");
      proxy.refuse(true);
      proxy.cut();
      await events.atLeast(disconnects + 1, "disconnected");
      const sequences = [];
      for (const text of texts) sequences.push(await publish(c, "engine", text));
      proxy.refuse(false);
      await until(() => story.includes(texts.at(-1)), () => `${texts.at(-1)}; there are ${story}`);
      return sequences;
    }
    await publish(c, "engine", "1");
    await until(() => story.length === 1, "the first");
    await publishAway(["2", "3", "4"]); // all that is kept, and nothing is missing
    const sequences = await publishAway(["5", "6", "7", "8", "9"]);
    assert.deepEqual(story, ["1", "2", "3", "4", "a gap", "7", "8", "9"]);
    const expected = { conversation: c, firstSequence: sequences[2], reason: "retention" };
    assert.deepEqual(truncations, [expected]);
    assert.deepEqual(events.list.filter(({ type }) => type === "truncated"), [{ type: "truncated", ...expected }]);
  });

  test("a server that begins anew with empty data is followed from its beginning, and that is reported", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    const publish = await server.publisher();
    for (let i = 0; i < 50; i++) await publish(c, "engine", "old");
    const client = await server.connect(t, { token });
    const story = [];
    await client.conversation(c).subscribe({ onStatus: ({ text }) => void story.push(text), onTruncated: ({ reason }) => void story.push(reason) });
    await server.kill();
    await server.forget("STATUS");
    await server.launch();
    await (await server.publisher())(c, "engine", "new");
    await until(() => story.includes("new"), "the first of the new stream");
    assert.deepEqual(story, ["reset", "new"]);
  });

  test("also one that has more than the client had seen", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t);
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const c = await server.newConversation(user);
    let publish = await server.publisher();
    for (let i = 1; i <= 10; i++) await publish(c, "engine", `old ${i}`);
    const client = await server.connect(t, { servers: proxy.ws, token });
    const follow = async (from) => {
      const story = [];
      const onTruncated = ({ firstSequence, reason }) => void story.push(`${reason} ${firstSequence}`);
      const options = { onStatus: ({ text }) => void story.push(text), onTruncated, ...(from === undefined ? {} : { from }) };
      return { story, subscription: await client.conversation(c).subscribe(options) };
    };
    const stays = await follow();
    await publish(c, "engine", "old 11");
    await until(() => stays.story.length === 1, "the last one of the old stream");
    const kept = JSON.parse(JSON.stringify(stays.subscription.place));
    assert.ok(kept.epoch);

    proxy.refuse(true);
    await server.kill("SIGTERM");
    await server.forget("STATUS");
    await server.launch();
    publish = await server.publisher();
    const all = Array.from({ length: 30 }, (_, i) => `new ${i + 1}`);
    for (const [i, text] of all.entries()) await publish(c, categories[i % 3], text);
    proxy.refuse(false);
    await until(() => stays.story.length >= 32, () => `all of the new stream; there is ${stays.story}`);
    assert.deepEqual(stays.story, ["old 11", "reset 1", ...all]);

    const later = await follow(kept); // a page that was reloaded
    await until(() => later.story.length >= 31, () => `all of the new stream; there is ${later.story}`);
    assert.deepEqual(later.story, ["reset 1", ...all]);
    const { place } = later.subscription;
    assert.notEqual(place.epoch, kept.epoch);
    later.subscription.unsubscribe();

    const history = async (after) => {
      const texts = [];
      for await (const { text } of client.conversation(c).history({ after })) texts.push(text);
      return texts;
    };
    await assert.rejects(history(kept), (error) => error.kind === "ahead_of_stream");
    assert.deepEqual(await history(place), []);
    await publish(c, "engine", "live");
    await until(() => stays.story.length >= 33, "what is live");
    assert.deepEqual(stays.story.slice(32), ["live"]);
    assert.deepEqual(await history(place), ["live"]);
  });

  test("forty subscriptions come back without breaking the limit on operations", { timeout: 60_000 }, async (t) => {
    const server = await Server.start(t, "limits { subscription_changes: 1000, categories: 1000 }\n");
    const proxy = await Proxy.start(t, server.port);
    const { user, token } = await server.newUser();
    const events = new Events();
    const client = await server.connect(t, { servers: proxy.ws, token, onEvent: events.add });
    const ids = await Promise.all(Array.from({ length: 40 }, () => server.newConversation(user)));
    const heard = await Promise.all(ids.map(async (id) => collect(await client.conversation(id).subscribe(["engine"])).statuses));
    proxy.cut();
    await events.atLeast(2, "connected");
    const publish = await server.publisher();
    await Promise.all(ids.map((id) => publish(id, "engine", "after the cut")));
    await until(() => heard.every((list) => list.length === 1), "one in each");
    assert.equal(events.count("disconnected"), 1);
  });
});
