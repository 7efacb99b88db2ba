// Needs: max_subscriptions lowered in nats.conf, and high limits, as in limits_test.go.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { expectAudit } from "../ledger.mjs";
import { newConversation, newUser, startService } from "../server.mjs";

for (const client of clients) {
  describe(`${client.name}: as many subjects as the server follows`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("one subject too many is refused at once and by name, and those before it are live", async (t) => {
      const { user, token } = await newUser("full");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const engine = await listen(browser, `status.${c}.engine`);
      let refused;
      for (let i = 0; i < 200 && refused === undefined; i++) {
        const subject = `status.${c}.nothing${i}`;
        const { failures } = await listen(browser, subject);
        if (failures.list.length > 0) refused = { subject, error: client.causeOf(failures.list[0]) };
      }
      assert.equal(client.isPermission(refused.error), true, String(refused.error));
      assert.match(refused.error.message, new RegExp(`subscription to "${refused.subject}": the server follows as many subjects as it may: try again later`, "i"));
      expectAudit({ kind: "refused", user, subject: refused.subject });
      const tool = await listen(browser, `status.${c}.engine`); // it is followed already
      await service.publish(c, "engine", "live");
      assert.deepEqual([await engine.texts.atLeast(1), await tool.texts.atLeast(1)], [["live"], ["live"]]);
    });
  });
}
