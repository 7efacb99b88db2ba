import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Heard, listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { inSeconds, newConversation, newUser, signToken, startService } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: expiring`, () => {
    let service;
    let alice;
    let c;
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user);
    });
    after(() => service.close());

    /** A token that ends two to three seconds from now, whole seconds as they are. */
    const shortToken = () => signToken({ sub: alice.user, exp: inSeconds(3) });

    test("a token that has expired ends the connection, and the client learns why", { timeout: 20_000 }, async (t) => {
      const { nc } = await open(t, client, await shortToken());
      const error = await nc.closed();
      assert.equal(client.isAuthorization(error), true, String(error));
      assert.match(error.message, /token expired/);
    });

    test("a fresh token in time renews the connection in place", { timeout: 20_000 }, async (t) => {
      const token = await shortToken();
      const { exp } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
      const browser = await open(t, client, token);
      const events = new Heard();
      void (async () => {
        for await (const { type } of browser.nc.status()) events.add(type);
      })();
      const { texts } = await listen(browser, `status.${c}.engine`);
      await browser.nc.request("gateway.token", alice.token);
      await new Promise((resolve) => setTimeout(resolve, exp * 1000 + 500 - Date.now()));
      await service.publish(c, "engine", "after the old token's end");
      assert.deepEqual(await texts.atLeast(1), ["after the old token's end"]);
      assert.equal(events.list.includes("disconnect"), false);
    });

    test("another user's token does not renew it", async (t) => {
      const mallory = await newUser("mallory");
      const browser = await open(t, client, alice.token);
      const { texts } = await listen(browser, `status.${c}.engine`);
      const answer = await browser.nc.request("gateway.token", mallory.token).then(
        (message) => message.string(),
        (error) => client.causeOf(error).message,
      );
      assert.match(answer, /another user/);
      await service.publish(c, "engine", "still alice's");
      assert.deepEqual(await texts.atLeast(1), ["still alice's"]);
    });
  });
}
