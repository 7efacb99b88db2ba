import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: joins beside a crowd of one user`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("who joins meanwhile is not refused, and the crowd is told to wait", async (t) => {
      const names = ["engine", "tool", "workflow", "progress", "error", "info"];
      const { user, token } = await newUser("crowd");
      const large = await newConversation(user);
      for (const name of names) await service.publish(large, name, "x".repeat(60_000));
      const other = await newUser("other");
      const small = await newConversation(other.user);
      await service.publish(small, "engine", "small");

      const refused = new Map();
      let answers = 0;
      let over = false;
      const ask = async (nc) => {
        while (!over && !nc.isClosed()) {
          try {
            const answer = (await nc.request(`edge.${large}.join`, undefined, { timeout: 3_000 })).json();
            if (answer.error !== undefined) {
              refused.set(answer.error.err_code, answer.error.code);
            } else {
              answers++;
              const { truncated, statuses, left_out } = answer.snapshot;
              assert.deepEqual([truncated, statuses.length, left_out.map(({ category }) => category)], [true, 4, ["engine", "tool"]]);
            }
          } catch (error) {
            if (error instanceof assert.AssertionError) throw error; // else the browser was too slow, or is gone
          }
        }
      };
      const asking = [];
      for (let i = 0; i < 9; i++) {
        const { nc } = await open(t, client, token);
        for (let j = 0; j < 16; j++) asking.push(ask(nc));
      }
      const { nc } = await open(t, client, other.token);
      for (let i = 0; i < 30 || (refused.size === 0 && i < 300); i++) {
        const answer = (await nc.request(`edge.${small}.join`, undefined, { timeout: 20_000 })).json();
        assert.equal(answer.error, undefined, JSON.stringify(answer.error));
        assert.equal(answer.snapshot.statuses.length, 1);
      }
      over = true;
      await Promise.all(asking);
      assert.ok(answers > 0);
      assert.equal(refused.get(20123), 429, JSON.stringify([...refused]));
      for (const code of refused.values()) assert.ok(code === 429 || code === 503, String(code)); // all of it passing
    });
  });
}
