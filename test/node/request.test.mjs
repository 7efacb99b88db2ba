import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { newConversation, newUser, startService } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: requesting`, () => {
    let service;
    let alice;
    let c;
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user, "--category", "deploy");
    });
    after(() => service.close());

    test("a join answers the categories, the limits and the last status of each", async (t) => {
      const { nc } = await open(t, client, alice.token);
      await service.publish(c, "engine", "older");
      const engine = await service.publish(c, "engine", "newest engine");
      const tool = await service.publish(c, "tool", "newest tool");
      const answer = (await nc.request(`edge.${c}.join`)).json();
      assert.equal(answer.conversation, c);
      assert.deepEqual(answer.categories, ["engine", "tool", "workflow", "progress", "error", "info", "deploy"]);
      assert.equal(typeof answer.limits, "object");
      assert.ok(answer.snapshot.up_to_seq >= tool.seq);
      const statuses = answer.snapshot.statuses.map(({ seq, subject, status }) => [seq, subject, status.text]);
      assert.deepEqual(statuses.sort(([a], [b]) => a - b), [
        [engine.seq, `status.${c}.engine`, "newest engine"],
        [tool.seq, `status.${c}.tool`, "newest tool"],
      ]);
    });

    test("many requests at once each get their own answer", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const other = await newConversation(alice.user);
      const asked = Array.from({ length: 20 }, (_, i) => (i % 2 ? c : other));
      const answers = await Promise.all(asked.map((id) => nc.request(`edge.${id}.join`)));
      assert.deepEqual(answers.map((answer) => answer.json().conversation), asked);
    });

    test("a request without the shared inbox works as well", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const answer = await nc.request(`edge.${c}.join`, undefined, { noMux: true, timeout: 2_000 });
      assert.equal(answer.json().conversation, c);
    });

    test("a request that nothing answers fails at once, not by its timeout", async (t) => {
      const { nc } = await open(t, client, alice.token);
      const began = Date.now();
      await assert.rejects(nc.request(`edge.${c}.nothing`, undefined, { timeout: 10_000 }), (error) => {
        const cause = client.causeOf(error);
        return client.isNoResponders(error) || client.isPermission(cause);
      });
      assert.ok(Date.now() - began < 2_000, `it took ${Date.now() - began} ms`);
    });

    test("two browsers with default inboxes cannot hear one another's replies", async (t) => {
      const eve = await newUser("eve");
      for (const token of [eve.token, alice.token]) {
        const spy = await open(t, client, token);
        const heard = new Heard();
        spy.nc.subscribe("_INBOX.>", { callback: (error, message) => heard.add(error ?? message.subject) });
        await spy.nc.flush();
        const browser = await open(t, client, alice.token);
        for (let i = 0; i < 5; i++) await browser.nc.request(`edge.${c}.join`);
        await spy.nc.flush();
        assert.deepEqual(heard.list.filter((item) => typeof item === "string"), []);
      }
    });

    test("a browser cannot publish a status", async (t) => {
      const browser = await open(t, client, alice.token);
      const { texts } = await listen(browser, `status.${c}.*`);
      browser.nc.publish(`status.${c}.engine`, JSON.stringify({ text: "forged" }));
      await browser.errors.until((list) => list.some((text) => text.includes(`status.${c}.engine`)), "the refusal");
      await service.publish(c, "engine", "genuine");
      assert.deepEqual(await texts.atLeast(1), ["genuine"]);
    });

    test("nor into another's inbox, nor to the inner subjects", async (t) => {
      const browser = await open(t, client, alice.token);
      const subjects = ["_INBOX.somebody.else", `submit.${c}.engine`, `ingest.${c}.engine`, "$JS.API.INFO", "admin.conversation.list", `edge.${c}.join.mallory`];
      for (const subject of subjects) browser.nc.publish(subject, "{}");
      for (const subject of subjects) {
        await browser.errors.until((list) => list.some((text) => text.includes(subject)), `the refusal of ${subject}`);
      }
      assert.equal((await browser.nc.request(`edge.${c}.join`)).json().conversation, c);
    });
  });
}
