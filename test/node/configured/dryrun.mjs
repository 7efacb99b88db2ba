// Needs: every limit below in dry_run, and lowered as in limits_test.go.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { expectAudit } from "../ledger.mjs";
import { newConversation, newUser, startService } from "../server.mjs";

for (const client of clients) {
  describe(`${client.name}: limits that only count`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("every subscription passes, and is counted beyond the limit", async (t) => {
      const { user, token } = await newUser("dry");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const names = ["engine", "tool", "workflow", "progress", "error", "info"];
      const heard = [];
      for (const [i, name] of names.entries()) {
        const subject = `status.${c}.${name}`;
        heard.push(await listen(browser, subject));
        if (i >= 2) expectAudit({ kind: "limited", user, limit: "categories", subject, dry_run: true });
        if (i >= 3) expectAudit({ kind: "limited", user, limit: "subscriptions", subject, dry_run: true });
        if (i >= 4) expectAudit({ kind: "limited", user, limit: "subscription_changes", subject, dry_run: true });
      }
      for (const name of names) await service.publish(c, name, name);
      for (const [i, { texts, failures }] of heard.entries()) {
        assert.deepEqual([await texts.atLeast(1), failures.list], [[names[i]], []]);
      }
      assert.deepEqual(browser.errors.list, []);
    });

    test("connections above the limit pass as well", async (t) => {
      const { user, token } = await newUser("dry-connections");
      for (let i = 0; i < 5; i++) await (await open(t, client, token)).nc.flush();
      expectAudit({ kind: "limited", user, limit: "connections_per_user", dry_run: true, count: 3 });
    });
  });
}
