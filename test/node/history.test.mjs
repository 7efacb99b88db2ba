import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService } from "./server.mjs";

const stored = 450; // three batches

/** Asks as docs/protocol.md shows it; answers the statuses and the last message. */
async function history({ nc, client }, c, wanted, options = {}) {
  const began = Date.now();
  const statuses = [];
  let last;
  const replies = await nc.requestMany(`edge.${c}.history`, wanted && JSON.stringify(wanted), {
    strategy: client.sentinel,
    maxWait: 60_000,
    ...options,
  });
  for await (const m of replies) {
    if (m.headers?.get("Nats-Service-Error")) return { refusal: m };
    if (m.data.length === 0) last = m;
    else statuses.push({ seq: Number(m.headers.get("Nats-Sequence")), text: m.json().text, message: m });
  }
  assert.ok(Date.now() - began < 30_000, "it ended by its last message, not by the time");
  return { statuses, last, nextAfter: Number(last.headers.get("Status-Next-After")) };
}

for (const client of clients) {
  describe(`${client.name}: reading the history`, () => {
    let service;
    let alice;
    let c;
    const acknowledged = []; // sequences in their order
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user);
      for (let i = 0; i < stored; i += 50) {
        const batch = Array.from({ length: 50 }, (_, j) => service.publish(c, (i + j) % 3 ? "engine" : "tool", `status ${i + j}`));
        for (const { seq } of await Promise.all(batch)) acknowledged.push(seq);
      }
      acknowledged.sort((a, b) => a - b);
    });
    after(() => service.close());

    for (const noMux of [false, true]) {
      test(`requestMany brings all and ends by itself, ${noMux ? "without" : "with"} the shared inbox`, async (t) => {
        const browser = await open(t, client, alice.token);
        const { statuses, last } = await history(browser, c, undefined, { noMux });
        assert.deepEqual(statuses.map(({ seq }) => seq), acknowledged);
        const { headers } = statuses[0].message;
        assert.match(headers.get("Nats-Subject"), new RegExp(`^status\\.${c}\\.(engine|tool)$`));
        assert.ok(!Number.isNaN(Date.parse(headers.get("Nats-Time-Stamp"))));
        // The status line is inline, as the server's own "no responders" is.
        assert.equal(last.headers.code, 204);
        assert.equal(last.headers.description, "EOB");
        assert.equal(last.headers.get("Status-Count"), String(stored));
        assert.equal(last.headers.get("Status-More"), "");
        assert.equal(last.headers.get("Status-Truncated"), "");
        assert.ok(Number(last.headers.get("Status-Next-After")) >= acknowledged.at(-1));
      });
    }

    test("pages by limit and Status-Next-After bring each once", async (t) => {
      const browser = await open(t, client, alice.token);
      const seen = [];
      let after = 0;
      for (let more = true; more; ) {
        const page = await history(browser, c, { after, limit: 100 });
        assert.ok(page.statuses.length <= 100);
        seen.push(...page.statuses.map(({ seq }) => seq));
        more = page.last.headers.get("Status-More") === "true";
        after = page.nextAfter;
      }
      assert.deepEqual(seen, acknowledged);
      const again = await history(browser, c, { after });
      assert.deepEqual(again.statuses, []);
    });

    test("categories, seen and limit are honoured", async (t) => {
      const browser = await open(t, client, alice.token);
      const tools = await history(browser, c, { categories: ["tool"] });
      assert.equal(tools.statuses.length, stored / 3);
      const known = acknowledged[200];
      const rest = await history(browser, c, { after: acknowledged[10], seen: { engine: known } });
      for (const { seq, message } of rest.statuses) {
        assert.ok(seq > (message.headers.get("Nats-Subject").endsWith(".engine") ? known : acknowledged[10]));
      }
      assert.equal((await history(browser, c, { limit: 7 })).statuses.length, 7);
    });

    test("what is wrong with a request is said", async (t) => {
      const browser = await open(t, client, alice.token);
      for (const [wanted, code, text] of [
        [{ after: -1 }, "400", /after is "-1"/],
        [{ categories: ["*"] }, "400", /bad category/],
        [{ limit: 10_001 }, "400", /from 1 to 10000/],
        [{ nonsense: 1 }, "400", /unknown field "nonsense"/],
        [{ after: Number.MAX_SAFE_INTEGER }, "409", /begin from nothing/],
      ]) {
        const { refusal } = await history(browser, c, wanted);
        assert.equal(refusal.headers.get("Nats-Service-Error-Code"), code, JSON.stringify(wanted));
        assert.match(refusal.json().error.description, text);
      }
    });

    test("a subscription and then the history miss nothing that is published meanwhile", async (t) => {
      const browser = await open(t, client, alice.token);
      const other = await newConversation(alice.user);
      const publishing = (async () => {
        for (let i = 0; i < 300; i++) await service.publish(other, "engine", `m ${i}`);
      })();
      const { texts } = await listen(browser, `status.${other}.engine`);
      const { statuses } = await history(browser, other, undefined);
      await publishing;
      const all = new Set(statuses.map(({ text }) => text));
      await texts.until((list) => new Set([...all, ...list]).size === 300, "all 300");
    });
  });
}
