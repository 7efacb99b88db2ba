import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService, statuswire } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: being refused`, () => {
    let service;
    let alice;
    let c;
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user);
    });
    after(() => service.close());

    for (const kind of ["literal", "wildcard"]) {
      test(`a stranger's conversation fails that very subscription (${kind}), others go on`, async (t) => {
        const bob = await newUser("bob");
        const theirs = await newConversation(bob.user);
        const browser = await open(t, client, alice.token);
        const mine = await listen(browser, `status.${c}.engine`);
        const refused = await listen(browser, `status.${theirs}.${kind === "literal" ? "engine" : "*"}`);
        const [error] = await refused.failures.atLeast(1);
        assert.equal(client.isPermission(error), true);
        assert.match(error.message, /is not found or not yours/);
        await service.publish(theirs, "engine", "secret");
        await service.publish(c, "engine", "mine");
        assert.deepEqual(await mine.texts.atLeast(1), ["mine"]);
        assert.deepEqual([refused.texts.list, mine.failures.list], [[], []]);
      });
    }

    test("an iterator of a refused subscription throws the refusal", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const subscription = nc.subscribe("status.nowhere.engine");
      await assert.rejects(async () => {
        for await (const _ of subscription) assert.fail("a message came");
      }, client.isPermission);
    });

    test("a stranger's conversation and one that does not exist cannot be told apart", async (t) => {
      const bob = await newUser("bob");
      const theirs = await newConversation(bob.user);
      const missing = `${theirs}x`;
      const browser = await open(t, client, alice.token);
      const texts = [];
      for (const id of [theirs, missing]) {
        const { failures } = await listen(browser, `status.${id}.engine`);
        texts.push((await failures.atLeast(1))[0].message.replaceAll(id, "ID"));
      }
      assert.equal(texts[0], texts[1]);
    });

    test("a join of a stranger's conversation is refused with the reason", async (t) => {
      const bob = await newUser("bob");
      const theirs = await newConversation(bob.user);
      const { nc } = await open(t, client, alice.token);
      await assert.rejects(nc.request(`edge.${theirs}.join`, undefined, { timeout: 2_000 }), (error) => {
        assert.match(client.causeOf(error).message, /is not found or not yours/);
        return true;
      });
    });

    test("nobody can listen to all conversations", async (t) => {
      const browser = await open(t, client, alice.token);
      for (const subject of ["status.>", "status.*.*", "status.*.engine", ">", "*.>", "submit.>", "ingest.>", "$SYS.>", "$JS.>"]) {
        const { failures } = await listen(browser, subject);
        assert.equal(client.isPermission((await failures.atLeast(1))[0]), true, subject);
      }
    });

    test("a conversation made while connected can be subscribed to at once", async (t) => {
      const browser = await open(t, client, alice.token);
      const early = await listen(browser, `status.${c}.engine`);
      const fresh = await newConversation(alice.user);
      const { texts } = await listen(browser, `status.${fresh}.*`);
      await service.publish(fresh, "engine", "new");
      assert.deepEqual(await texts.atLeast(1), ["new"]);
      assert.deepEqual(early.failures.list, []);
    });

    test("lost access ends its subscriptions with a reason within a second, the socket stays", async (t) => {
      const bob = await newUser("bob");
      const shared = await newConversation(bob.user, "--member", alice.user);
      const browser = await open(t, client, alice.token);
      const lost = await listen(browser, `status.${shared}.*`);
      const kept = await listen(browser, `status.${c}.engine`);
      await service.publish(shared, "engine", "while a member");
      await lost.texts.atLeast(1);
      await statuswire("conversation", "remove", shared, "--member", alice.user);
      const began = Date.now();
      const [error] = await lost.failures.atLeast(1);
      assert.ok(Date.now() - began < 1_000, `it took ${Date.now() - began} ms`);
      assert.equal(client.isPermission(error), true);
      await service.publish(shared, "engine", "after leaving");
      await service.publish(c, "engine", "mine");
      assert.deepEqual(await kept.texts.atLeast(1), ["mine"]);
      assert.deepEqual(lost.texts.list, ["while a member"]);
    });

    test("access that is given back works on the same socket", async (t) => {
      const bob = await newUser("bob");
      const shared = await newConversation(bob.user);
      const browser = await open(t, client, alice.token);
      const refused = await listen(browser, `status.${shared}.engine`);
      await refused.failures.atLeast(1);
      await statuswire("conversation", "add", shared, "--member", alice.user);
      const { texts } = await listen(browser, `status.${shared}.engine`);
      await service.publish(shared, "engine", "welcome");
      assert.deepEqual(await texts.atLeast(1), ["welcome"]);
    });
  });
}
