import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { expectAudit } from "./ledger.mjs";
import { connectionsOf, newConversation, newUser, startService, statuswire } from "./server.mjs";
import { sleep } from "./until.mjs";

const defaults = ["engine", "tool", "workflow", "progress", "error", "info"];
const own = ["own1", "own2", "own3", "own4", "own5", "own6"];

/** The limits of DESIGN section 5 as they are shipped, each through an unmodified client. */
for (const client of clients) {
  describe(`${client.name}: limits`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    const withOwn = (user) => newConversation(user, ...own.flatMap((name) => ["--category", name]));

    /** The one error of a subscription that was refused. */
    async function refused(heard, subject, reason) {
      const [error] = await heard.failures.atLeast(1);
      assert.equal(client.isPermission(error), true, String(error));
      assert.match(error.message, new RegExp(`subscription to "${subject.replace("*", "\\*")}": ${reason}`, "i"));
      assert.equal(heard.failures.list.length, 1);
      return error;
    }

    test("10 categories, the eleventh is refused, and may come when another has gone", async (t) => {
      const { user, token } = await newUser("categories");
      const c = await withOwn(user);
      const browser = await open(t, client, token);
      const names = [...defaults, ...own.slice(0, 4)];
      const heard = [];
      for (const name of names) heard.push(await listen(browser, `status.${c}.${name}`));

      const subject = `status.${c}.own5`;
      await refused(await listen(browser, subject), subject, "this connection has 10 categories of 10: unsubscribe from one first");
      expectAudit({ kind: "limited", user, limit: "categories", subject });

      const again = await listen(browser, `status.${c}.engine`); // by a second sid: counts once
      for (const name of [...names, "own5"]) await service.publish(c, name, name);
      for (const [i, { texts }] of heard.entries()) assert.deepEqual(await texts.atLeast(1), [names[i]]);
      assert.deepEqual(await again.texts.atLeast(1), ["engine"]);

      again.subscription.unsubscribe();
      await browser.nc.flush();
      const subject6 = `status.${c}.own6`; // one sid of two has gone: the category is still held
      await refused(await listen(browser, subject6), subject6, "this connection has 10 categories of 10");
      expectAudit({ kind: "limited", user, limit: "categories", subject: subject6 });

      heard[1].subscription.unsubscribe();
      const late = await listen(browser, subject);
      await service.publish(c, "own5", "now it may");
      assert.deepEqual(await late.texts.atLeast(1), ["now it may"]);
      assert.deepEqual([...heard, again].flatMap(({ failures }) => failures.list), []);
    });

    test("a wildcard counts all that it covers, in each conversation, now and later", async (t) => {
      const { user, token } = await newUser("wildcards");
      const [c1, c2] = [await newConversation(user), await newConversation(user)];
      const browser = await open(t, client, token);
      const all = await listen(browser, `status.${c1}.*`);
      const some = [];
      for (const name of defaults.slice(0, 4)) some.push(await listen(browser, `status.${c2}.${name}`));

      const refusals = [
        [`status.${c2}.error`, "this connection has 10 categories of 10: unsubscribe from one first"],
        [`status.${c2}.*`, "it covers 2 more categories, and this connection has 10 of 10: subscribe to single ones, or unsubscribe first"],
      ];
      for (const [subject, reason] of refusals) {
        await refused(await listen(browser, subject), subject, reason);
        expectAudit({ kind: "limited", user, limit: "categories", subject });
      }
      await listen(browser, `status.${c1}.tool`); // covered by the wildcard: costs nothing

      await service.publish(c1, "info", "of the first");
      await service.publish(c2, "error", "not let in");
      await service.publish(c2, "tool", "of the second");
      assert.deepEqual(await all.texts.atLeast(1), ["of the first"]);
      assert.deepEqual(await some[1].texts.atLeast(1), ["of the second"]);

      // A category that the conversation gets counts as well: 7 of 10 now.
      all.subscription.unsubscribe();
      for (const { subscription } of some) subscription.unsubscribe();
      const grown = await listen(browser, `status.${c2}.*`);
      await statuswire("conversation", "category", "add", c2, "--category", "later");
      await service.publish(c2, "later", "grown");
      assert.deepEqual(await grown.texts.atLeast(1), ["grown"]);
      const { limits } = (await browser.nc.request("gateway.subscriptions")).json();
      assert.deepEqual(limits.categories, { limit: 10, used: 8, left: 2 }); // c1.tool, and 7 of c2
    });

    test("30 changes a minute over two connections, then the seconds to wait; the same set after a reconnect is free", async (t) => {
      const { user, token } = await newUser("changes");
      const c = await withOwn(user);
      const [a, b] = [await open(t, client, token), await open(t, client, token)];
      const names = [...defaults, ...own.slice(0, 4)];
      const heard = { a: [], b: [] };
      for (const [key, browser] of [["a", a], ["b", b]]) {
        for (const name of names) heard[key].push(await listen(browser, `status.${c}.${name}`)); // 10 changes
        for (const { subscription } of heard[key].slice(5)) subscription.unsubscribe(); // and 5
        await browser.nc.flush();
      }
      for (const browser of [a, b]) {
        const subject = `status.${c}.info`;
        const error = await refused(await listen(browser, subject), subject, "more than 30 subscription changes within a minute: try again in \\d+ s");
        const seconds = Number(error.message.match(/try again in (\d+) s/)[1]);
        assert.ok(seconds > 30 && seconds <= 60, `${seconds} s`);
        expectAudit({ kind: "limited", user, limit: "subscription_changes", subject });
      }
      // UNSUB always passes, requests are no changes, another user does not notice.
      heard.a[4].subscription.unsubscribe();
      const { limits } = (await a.nc.request("gateway.subscriptions")).json();
      assert.equal(limits.subscription_changes.left, 0);
      const other = await newUser("unhurt");
      await statuswire("conversation", "add", c, "--member", other.user);
      const neighbour = await listen(await open(t, client, other.token), `status.${c}.engine`);

      const back = new Heard();
      void (async () => {
        for await (const { type } of a.nc.status()) if (type === "reconnect") back.add(type);
      })();
      await a.nc.reconnect();
      await back.atLeast(1);
      await a.nc.flush();
      for (const name of names) await service.publish(c, name, name);
      for (const [i, { texts, failures }] of heard.a.entries()) {
        if (i < 4) assert.deepEqual(await texts.atLeast(1), [names[i]]);
        assert.deepEqual([texts.list, failures.list], [i < 4 ? [names[i]] : [], []], names[i]);
      }
      assert.deepEqual(await neighbour.texts.atLeast(1), ["engine"]);

      // Another set is not free, not even as large as the one that was left.
      await b.nc.close();
      await connectionsOf(user, 1);
      const reloaded = await open(t, client, token);
      for (const name of names.slice(0, 4)) {
        const { texts, failures } = await listen(reloaded, `status.${c}.${name}`);
        await service.publish(c, name, "after the reload");
        await texts.atLeast(1);
        assert.deepEqual(failures.list, []);
      }
      const subject = `status.${c}.own4`;
      await refused(await listen(reloaded, subject), subject, "more than 30 subscription changes");
      expectAudit({ kind: "limited", user, limit: "subscription_changes", subject });
    });

    test("64 subscriptions of any kind, the next is refused, and may come when another has gone", async (t) => {
      const { user, token } = await newUser("subscriptions");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const mine = await listen(browser, `status.${c}.engine`);
      const failures = new Heard();
      const inbox = (i) => browser.nc.subscribe(`_INBOX.mine.${i}`, { callback: (error) => error && failures.add(error) });
      const inboxes = Array.from({ length: 63 }, (_, i) => inbox(i));
      await browser.nc.flush();
      assert.deepEqual(failures.list, []);
      await sleep(1_000); // the operations of a second

      const reason = "this connection has 64 subscriptions, which is its limit: unsubscribe from one first";
      for (const subject of ["_INBOX.mine.64", `status.${c}.tool`]) {
        await refused(await listen(browser, subject), subject, reason);
        expectAudit({ kind: "limited", user, limit: "subscriptions", subject });
      }
      inboxes[7].unsubscribe();
      const late = await listen(browser, `status.${c}.tool`);
      await service.publish(c, "engine", "still");
      await service.publish(c, "tool", "now");
      assert.deepEqual([await mine.texts.atLeast(1), await late.texts.atLeast(1)], [["still"], ["now"]]);
      assert.deepEqual(failures.list, []);
    });

    test("100 operations at once pass; many more close the connection, and the client comes back", async (t) => {
      const { user, token } = await newUser("operations");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const { texts } = await listen(browser, `status.${c}.engine`);
      const events = new Heard();
      void (async () => {
        for await (const { type } of browser.nc.status()) events.add(type);
      })();
      await sleep(1_000);
      for (let i = 0; i < 99; i++) browser.nc.publish("gateway.subscriptions");
      await browser.nc.flush();
      assert.deepEqual(browser.errors.list, []);
      await sleep(1_000);
      for (let i = 0; i < 250; i++) browser.nc.publish("gateway.subscriptions");
      await events.until((list) => list.includes("reconnect"), "the reconnect");
      // nats.ws gives only the kind of error; nats-core gives the text.
      assert.match(browser.errors.list[0], /too many operations: at most 100 a second|PROTOCOL/);
      expectAudit({ kind: "limited", user, limit: "operations" });
      await browser.nc.flush();
      await service.publish(c, "engine", "back again");
      assert.deepEqual(await texts.atLeast(1), ["back again"]);
    });

    test("a control line of 4 KiB passes and hurts nobody, one byte more closes the connection", async (t) => {
      const { user, token } = await newUser("control-line");
      const c = await newConversation(user);
      const neighbour = await open(t, client, token);
      const disconnects = new Heard();
      const { texts, failures } = await listen(neighbour, `status.${c}.engine`);
      for (const bytes of [4096, 4097]) {
        const browser = await open(t, client, token);
        void (async () => {
          for await (const { type } of browser.nc.status()) if (type === "disconnect") disconnects.add(bytes);
        })();
        const subject = `status.${c}.`;
        const heard = new Heard();
        browser.nc.subscribe(subject + "x".repeat(bytes - subject.length - " 1".length), { callback: (error) => error && heard.add(error) });
        if (bytes > 4096) {
          await browser.errors.atLeast(1);
          // nats.ws gives only the kind of error; nats-core gives the text.
          assert.match(browser.errors.list[0], /maximum control line exceeded: at most 4096 bytes|PROTOCOL/i);
          await browser.nc.close(); // or it would send the same line again
          expectAudit({ kind: "limited", user, limit: "control_line" });
        } else {
          // Long enough for a control line, too long for a category.
          const [error] = await heard.atLeast(1);
          assert.match(error.message, /this is no category: 1 to 32 of a-z, 0-9 and _, a letter first/);
          expectAudit({ kind: "refused", user, subject: subject + "x".repeat(4_000) });
          await browser.nc.flush();
          assert.deepEqual(disconnects.list, []);
        }
        await service.publish(c, "engine", `beside ${bytes}`);
        await texts.until((list) => list.includes(`beside ${bytes}`), `the status beside ${bytes}`);
      }
      assert.deepEqual([texts.list, failures.list], [["beside 4096", "beside 4097"], []]);
    });

    test("a payload of 64 KiB passes; the client itself refuses one byte more", async (t) => {
      const { token } = await newUser("payload");
      const { nc } = await open(t, client, token);
      assert.equal(nc.info.max_payload, 65_536);
      const answer = await nc.request("gateway.subscriptions", new Uint8Array(65_536));
      assert.equal(answer.json().subscriptions.length, 1);
      assert.throws(() => nc.publish("gateway.subscriptions", new Uint8Array(65_537)));
      await nc.flush();
    });

    test("gateway.subscriptions lists what there is and what is left", async (t) => {
      const { user, token } = await newUser("listing");
      const c = await newConversation(user);
      const { nc } = await open(t, client, token);
      await listen({ nc }, `status.${c}.engine`, { queue: "tabs" });
      const two = await listen({ nc }, `status.${c}.tool`, { max: 3 });
      await service.publish(c, "tool", "one");
      await two.texts.atLeast(1);
      const { subscriptions, limits } = (await nc.request("gateway.subscriptions")).json();
      const inbox = subscriptions.filter(({ subject }) => subject.startsWith("_INBOX."));
      assert.equal(inbox.length, 1);
      assert.deepEqual(
        subscriptions.filter((one) => !inbox.includes(one)).map(({ sid, ...rest }) => ({ ...rest, sid: typeof sid })),
        [
          { subject: `status.${c}.engine`, queue: "tabs", delivered: 0, sid: "string" },
          { subject: `status.${c}.tool`, delivered: 1, max: 3, sid: "string" },
        ],
      );
      const { operations, ...rest } = limits;
      assert.equal(operations.limit, 100);
      assert.deepEqual(rest, {
        subscriptions: { limit: 64, used: 3, left: 61 },
        categories: { limit: 10, used: 2, left: 8 },
        // max: 3 is an UNSUB of its own on the wire, which counts.
        subscription_changes: { limit: 30, used: 3, left: 27 },
        grant_changes: { limit: 120, used: 1, left: 119 },
      });
    });
  });
}
