// Needs: a stream that the operator may update, and a fan-out that asks it every second.
// What the stream does not republish is lost on its way to the browsers: stored,
// acknowledged, and never sent.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { newConversation, newUser, startService, startStreamOperator } from "../server.mjs";

const checkMillis = 1_000;
const leewayMillis = 1_500; // of a busy machine

for (const client of clients) {
  describe(`${client.name}: statuses that get lost on their way`, () => {
    let service;
    let operator;
    before(async () => {
      service = await startService();
      operator = await startStreamOperator();
    });
    after(async () => {
      await operator.close();
      await service.close();
    });

    /** A browser of its own, listening to a conversation of its own. */
    async function watching(t, category) {
      const { user, token } = await newUser("watcher");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const heard = await listen(browser, `status.${c}.${category}`);
      t.after(() => {
        assert.deepEqual(heard.failures.list, []);
        assert.deepEqual(browser.errors.list, []);
      });
      return { c, heard };
    }

    for (const category of ["engine", "*"]) {
      test(`an idle subscriber to ${category} gets the last one within one check`, async (t) => {
        const { c, heard } = await watching(t, category);
        await service.publish(c, "engine", "first");
        await heard.texts.atLeast(1);
        await operator.withoutRepublish(() => service.publish(c, "engine", "last"));
        const began = Date.now();
        await heard.texts.atLeast(2);
        const took = Date.now() - began;
        assert.ok(took < checkMillis + leewayMillis, `it took ${took} ms`);
        assert.deepEqual(heard.texts.list, ["first", "last"]);
      });
    }

    test("a publish that is repeated, and answered as a duplicate, is not lost either", async (t) => {
      const { c, heard } = await watching(t, "engine");
      const once = () => service.publish(c, "engine", "the only one", { id: "once" });
      await operator.withoutRepublish(once);
      const began = Date.now();
      const ack = await once(); // the publisher never saw the first acknowledgement
      assert.equal(ack.duplicate, true);
      await heard.texts.atLeast(1);
      const took = Date.now() - began;
      assert.ok(took < checkMillis + leewayMillis, `it took ${took} ms`);
      await service.publish(c, "engine", "and on");
      await heard.texts.atLeast(2);
      assert.deepEqual(heard.texts.list, ["the only one", "and on"]);
    });

    test("a hole is mended before what came behind it", async (t) => {
      for (const lost of [1, 5]) {
        const { c, heard } = await watching(t, "engine");
        const all = ["A"];
        await service.publish(c, "engine", "A");
        await operator.withoutRepublish(async () => {
          for (let i = 0; i < lost; i++) {
            all.push(`B${i}`);
            await service.publish(c, "engine", `B${i}`);
          }
        });
        all.push("C");
        await service.publish(c, "engine", "C");
        await heard.texts.atLeast(all.length);
        assert.deepEqual(heard.texts.list, all);
      }
    });

    test("holes in several categories are mended, each in its order", async (t) => {
      const { c, heard } = await watching(t, "*");
      const categories = ["engine", "tool", "info"];
      await operator.withoutRepublish(async () => {
        for (let i = 0; i < 12; i++) await service.publish(c, categories[i % 3], `${categories[i % 3]} ${i}`);
      });
      await service.publish(c, "tool", "tool 12"); // shows one hole; the others nothing shows
      await heard.texts.atLeast(13);
      for (const category of categories) {
        const got = heard.texts.list.filter((text) => text.startsWith(category));
        const sent = Array.from({ length: 13 }, (_, i) => `${i === 12 ? "tool" : categories[i % 3]} ${i}`);
        assert.deepEqual(got, sent.filter((text) => text.startsWith(category)));
      }
    });
  });
}
