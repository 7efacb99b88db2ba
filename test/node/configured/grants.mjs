// Needs: limits.grant_changes lowered as in limits_test.go.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { expectAudit } from "../ledger.mjs";
import { newConversation, newUser, startService } from "../server.mjs";

for (const client of clients) {
  describe(`${client.name}: changes of the grant`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("who asks over all of many conversations is told to wait, and goes on with those of the grant", async (t) => {
      const { user, token } = await newUser("grants");
      const all = [];
      for (let i = 0; i < 14; i++) all.push(await newConversation(user));
      const browser = await open(t, client, token);
      const ask = (c) => browser.nc.request(`edge.${c}.presence`, undefined, { timeout: 10_000 });
      for (const c of all.slice(0, 10)) assert.equal((await ask(c)).json().conversation, c);
      for (const c of all.slice(10)) {
        await assert.rejects(ask(c), (error) => {
          const cause = client.causeOf(error);
          assert.equal(client.isPermission(cause), true, String(cause));
          assert.match(cause.message, /more than 10 grant changes within a minute: try again in [1-9]\d* s/);
          return true;
        });
        expectAudit({ kind: "limited", user, limit: "grant_changes", subject: `edge.${c}.presence` });
      }
      const { texts } = await listen(browser, `status.${all[0]}.engine`);
      for (const c of all.slice(0, 10)) await ask(c);
      await service.publish(all[0], "engine", "goes on");
      assert.deepEqual(await texts.atLeast(1), ["goes on"]);
    });
  });
}
