import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: queue groups`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("a browser's group takes nothing from a group of services of that name", async (t) => {
      const { user, token } = await newUser("queues");
      const c = await newConversation(user);
      const indexed = new Heard();
      for (let i = 0; i < 2; i++) await service.follow(`status.${c}.*`, "indexer", (text) => indexed.add(text));
      const browsers = [];
      for (let i = 0; i < 3; i++) browsers.push(await listen(await open(t, client, token), `status.${c}.*`, { queue: "indexer" }));
      const published = Array.from({ length: 60 }, (_, i) => String(i));
      for (const text of published) await service.publish(c, "engine", text);
      assert.deepEqual([...(await indexed.atLeast(published.length))].sort(), [...published].sort());
      for (const { texts } of browsers) await texts.atLeast(published.length / browsers.length);
      assert.deepEqual(browsers.flatMap(({ texts }) => texts.list).sort(), [...published].sort());
    });
  });
}
