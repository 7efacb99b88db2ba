import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { expectAudit } from "./ledger.mjs";
import { newConversation, newUser, startService, statuswire } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: access that changes`, () => {
    let service;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());

    test("of three conversations one is taken away, one deleted, a fourth given", async (t) => {
      const [alice, bob] = [await newUser("alice"), await newUser("bob")];
      const member = ["--member", alice.user];
      const removed = await newConversation(bob.user, ...member);
      const deleted = await newConversation(bob.user, ...member);
      const kept = await newConversation(bob.user, ...member);
      const given = await newConversation(bob.user);
      const [browser, owner] = [await open(t, client, alice.token), await open(t, client, bob.token)];
      const disconnects = new Heard();
      void (async () => {
        for await (const { type } of browser.nc.status()) if (type === "disconnect") disconnects.add(type);
      })();

      const lost = {
        [`status.${removed}.engine`]: await listen(browser, `status.${removed}.engine`),
        [`status.${removed}.*`]: await listen(browser, `status.${removed}.*`),
        [`status.${deleted}.tool`]: await listen(browser, `status.${deleted}.tool`, { queue: "tabs" }),
      };
      const going = await listen(browser, `status.${kept}.engine`);
      const theirs = await listen(owner, `status.${removed}.*`);
      const early = await listen(browser, `status.${given}.engine`);
      await early.failures.atLeast(1);
      expectAudit({ kind: "refused", user: alice.user, subject: `status.${given}.engine` });

      // Statuses go on all the while, and what is kept loses none of them.
      let published = 0;
      let publishing = true;
      t.after(() => (publishing = false));
      const publisher = (async () => {
        while (publishing) {
          const text = `${++published}`;
          await Promise.all([removed, kept].map((c) => service.publish(c, "engine", text)));
        }
      })();
      await Promise.all([going, ...Object.values(lost).slice(0, 2)].map(({ texts }) => texts.atLeast(5)));

      await statuswire("conversation", "remove", removed, ...member);
      let began = Date.now();
      for (const subject of Object.keys(lost).slice(0, 2)) await ended(subject, removed);
      assert.ok(Date.now() - began < 1_000, `it took ${Date.now() - began} ms`);

      await statuswire("conversation", "delete", deleted);
      began = Date.now();
      await ended(`status.${deleted}.tool`, deleted);
      assert.ok(Date.now() - began < 1_000, `it took ${Date.now() - began} ms`);

      await statuswire("conversation", "add", given, ...member);
      const late = await listen(browser, `status.${given}.engine`);
      await service.publish(given, "engine", "welcome");
      assert.deepEqual(await late.texts.atLeast(1), ["welcome"]);

      const heardThen = Object.values(lost).map(({ texts }) => texts.list.length);
      await service.publish(removed, "engine", "after leaving");
      await theirs.texts.until((list) => list.includes("after leaving"), "the owner's copy");
      publishing = false;
      await publisher;
      await going.texts.atLeast(published);
      assert.deepEqual(going.texts.list, Array.from({ length: published }, (_, i) => `${i + 1}`));
      assert.deepEqual(Object.values(lost).map(({ texts }) => texts.list.length), heardThen);
      assert.deepEqual([going.failures.list, late.failures.list, theirs.failures.list, disconnects.list], [[], [], [], []]);

      // What was lost cannot be had again, nor asked about; the rest is listed.
      for (const c of [removed, deleted]) {
        const { failures } = await listen(browser, `status.${c}.engine`);
        assert.match((await failures.atLeast(1))[0].message, /is not found or not yours/);
        expectAudit({ kind: "refused", user: alice.user, subject: `status.${c}.engine` });
        await assert.rejects(browser.nc.request(`edge.${c}.join`, undefined, { timeout: 2_000 }), (error) => {
          assert.match(client.causeOf(error).message, /is not found or not yours/);
          return true;
        });
        expectAudit({ kind: "refused", user: alice.user, subject: `edge.${c}.join` });
      }
      const { subscriptions, limits } = (await browser.nc.request("gateway.subscriptions")).json();
      const subjects = subscriptions.map(({ subject }) => subject).filter((subject) => subject.startsWith("status."));
      assert.deepEqual(subjects, [`status.${given}.engine`, `status.${kept}.engine`].sort());
      assert.deepEqual(limits.categories, { limit: 10, used: 2, left: 8 });
      const { members } = (await owner.nc.request(`edge.${removed}.presence`)).json();
      assert.deepEqual(members.map(({ user }) => user).includes(bob.user), true);

      async function ended(subject, c) {
        const [error] = await lost[subject].failures.atLeast(1);
        assert.equal(client.isPermission(error), true, String(error));
        assert.ok(error.message.includes(`"${subject}"`), error.message);
        assert.ok(error.message.includes(`: your access to conversation "${c}" has ended`), error.message);
        assert.equal(lost[subject].failures.list.length, 1);
        assert.equal(lost[subject].subscription.isClosed(), true);
        expectAudit({ kind: "revoked", user: alice.user, subject });
      }
    });

    test("each of two sockets of a user loses its own, another member none", async (t) => {
      const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => newUser(name)));
      const c = await newConversation(bob.user, "--member", alice.user, "--member", carol.user);
      const hers = await Promise.all([1, 2].map(async () => listen(await open(t, client, alice.token), `status.${c}.engine`)));
      const another = await listen(await open(t, client, carol.token), `status.${c}.engine`);
      await statuswire("conversation", "remove", c, "--member", alice.user);
      for (const { failures } of hers) assert.match((await failures.atLeast(1))[0].message, /has ended/);
      expectAudit({ kind: "revoked", user: alice.user, subject: `status.${c}.engine`, count: 2 });
      await service.publish(c, "engine", "for those who stay");
      assert.deepEqual(await another.texts.atLeast(1), ["for those who stay"]);
      assert.deepEqual([hers[0].texts.list, hers[1].texts.list, another.failures.list], [[], [], []]);
    });
  });
}
