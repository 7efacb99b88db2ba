import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: subscribing`, () => {
    let service;
    let alice;
    let c;
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user);
    });
    after(() => service.close());

    test("a literal subject brings its statuses and no other's", async (t) => {
      const browser = await open(t, client, alice.token);
      const { texts } = await listen(browser, `status.${c}.engine`);
      await service.publish(c, "tool", "not asked for");
      await service.publish(c, "engine", "one");
      await service.publish(c, "engine", "two");
      assert.deepEqual(await texts.atLeast(2), ["one", "two"]);
    });

    test("a status arrives as published, stamped, with its place in the stream", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const subscription = nc.subscribe(`status.${c}.progress`, { max: 1 });
      await nc.flush();
      const ack = await service.publish(c, "progress", "indexing", { metadata: { step: 1, total_steps: 3 } });
      for await (const message of subscription) {
        assert.equal(message.subject, `status.${c}.progress`);
        assert.equal(Number(message.headers.get("Nats-Sequence")), ack.seq);
        const { category, text, metadata, timestamp } = message.json();
        assert.deepEqual({ category, text, metadata }, { category: "progress", text: "indexing", metadata: { step: 1, total_steps: 3 } });
        assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, `timestamp ${timestamp} is not now`);
      }
      assert.equal(subscription.getProcessed(), 1);
    });

    test("a wildcard brings every category, in the order of publishing", async (t) => {
      const browser = await open(t, client, alice.token);
      const { texts } = await listen(browser, `status.${c}.*`);
      const want = ["engine", "tool", "workflow", "progress", "error", "info"];
      for (const category of want) await service.publish(c, category, category);
      assert.deepEqual(await texts.atLeast(want.length), want);
    });

    test("unsubscribing stops one subscription and leaves the others", async (t) => {
      const browser = await open(t, client, alice.token);
      const engine = await listen(browser, `status.${c}.engine`);
      const tool = await listen(browser, `status.${c}.tool`);
      await service.publish(c, "engine", "before");
      await engine.texts.atLeast(1);
      engine.subscription.unsubscribe();
      await browser.nc.flush();
      await service.publish(c, "engine", "after");
      await service.publish(c, "tool", "marker");
      await tool.texts.atLeast(1);
      assert.deepEqual(engine.texts.list, ["before"]);
    });

    test("max ends a subscription after that many", async (t) => {
      const browser = await open(t, client, alice.token);
      const some = await listen(browser, `status.${c}.engine`, { max: 2 });
      const all = await listen(browser, `status.${c}.*`);
      for (const text of ["1", "2", "3"]) await service.publish(c, "engine", text);
      await all.texts.atLeast(3);
      assert.deepEqual(some.texts.list, ["1", "2"]);
      assert.equal(some.subscription.isClosed(), true);
    });

    test("unsubscribe(max) counts what had come before", async (t) => {
      const browser = await open(t, client, alice.token);
      const some = await listen(browser, `status.${c}.engine`);
      const all = await listen(browser, `status.${c}.*`);
      await service.publish(c, "engine", "1");
      await some.texts.atLeast(1);
      some.subscription.unsubscribe(2);
      await browser.nc.flush();
      for (const text of ["2", "3"]) await service.publish(c, "engine", text);
      await all.texts.atLeast(3);
      assert.deepEqual(some.texts.list, ["1", "2"]);
    });

    test("two subscriptions of one subject each get a copy", async (t) => {
      const browser = await open(t, client, alice.token);
      const first = await listen(browser, `status.${c}.engine`);
      const second = await listen(browser, `status.${c}.engine`);
      await service.publish(c, "engine", "both");
      assert.deepEqual([await first.texts.atLeast(1), await second.texts.atLeast(1)], [["both"], ["both"]]);
    });

    test("three sockets with one token each get every status", async (t) => {
      const sockets = await Promise.all([1, 2, 3].map(() => open(t, client, alice.token)));
      const heard = await Promise.all(sockets.map((socket) => listen(socket, `status.${c}.engine`)));
      await service.publish(c, "engine", "for all");
      for (const { texts } of heard) assert.deepEqual(await texts.atLeast(1), ["for all"]);
    });

    test("drain hands over what came before and closes without an error", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const { texts } = await listen({ nc }, `status.${c}.*`);
      for (let i = 1; i <= 20; i++) await service.publish(c, "engine", `${i}`);
      // An acknowledged status may still be on its way; drain is for what has come.
      await texts.atLeast(20);
      await nc.drain();
      assert.equal(await nc.closed(), undefined);
      assert.deepEqual(texts.list, Array.from({ length: 20 }, (_, i) => `${i + 1}`));
    });
  });
}
