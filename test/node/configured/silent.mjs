// Needs: an edge that may not answer, as in limits_test.go.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { expectAudit } from "../ledger.mjs";
import { newConversation, newUser, startService } from "../server.mjs";

for (const client of clients) {
  describe(`${client.name}: requests that wait`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("64 requests wait, the next is refused with the reason, the rest goes on", async (t) => {
      const { user, token } = await newUser("requests");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const { texts } = await listen(browser, `status.${c}.engine`);
      const failed = new Heard();
      const ask = () => void browser.nc.request(`edge.${c}.presence`, undefined, { timeout: 30_000 }).catch((error) => failed.add(error));
      for (let i = 0; i < 64; i++) ask();
      await browser.nc.flush();
      assert.deepEqual([failed.list, browser.errors.list], [[], []]);
      // The clients give a refused PUB to the oldest request of that subject: ask
      // for another one.
      await assert.rejects(browser.nc.request(`edge.${c}.join`, undefined, { timeout: 5_000 }), (error) => {
        const cause = client.causeOf(error);
        assert.equal(client.isPermission(cause), true, String(cause));
        assert.match(cause.message, new RegExp(`publish to "edge.${c}.join": 64 requests wait for an answer, which is the limit: wait for one first`, "i"));
        return true;
      });
      expectAudit({ kind: "limited", user, limit: "requests", subject: `edge.${c}.join` });
      assert.deepEqual(failed.list, []);
      assert.equal((await browser.nc.request("gateway.subscriptions")).json().subscriptions.length, 2);
      await service.publish(c, "engine", "still");
      assert.deepEqual(await texts.atLeast(1), ["still"]);
    });
  });
}
