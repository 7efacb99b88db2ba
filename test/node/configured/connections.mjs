// Needs: trusted_proxies, and limits lowered as in limits_test.go.
import "../from.mjs"; // before the clients
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Heard, listen, open } from "../browser.mjs";
import { clients } from "../clients.mjs";
import { comeFrom, latestSocket, newAddress, nextSocket, upgradeFrom } from "../from.mjs";
import { expectAudit } from "../ledger.mjs";
import { inSeconds, newConversation, newUser, signToken, startService, ws } from "../server.mjs";
import { sleep } from "../until.mjs";

for (const client of clients) {
  describe(`${client.name}: limits on connections`, () => {
    let service;
    let address;
    before(async () => {
      service = await startService();
    });
    after(() => service.close());
    beforeEach(() => {
      address = newAddress();
      comeFrom(address);
    });

    /** Connects, and does not try again. */
    const once = (token) => client.connect({ servers: ws, token, reconnect: false, maxReconnectAttempts: 0 });

    /** The close frame of the next socket that a client opens. */
    async function closedWith(token) {
      const next = nextSocket();
      const outcome = once(token).then(
        () => assert.fail("it connected"),
        (error) => error,
      );
      const socket = await next;
      const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: `${reason}` })));
      return { ...(await closed), error: await outcome };
    }

    test("3 connections of a user, the fourth is closed with the reason, and may come when another has gone", async (t) => {
      const { user, token } = await newUser("connections");
      const c = await newConversation(user);
      const browsers = [];
      for (let i = 0; i < 3; i++) browsers.push(await open(t, client, token));
      const heard = await Promise.all(browsers.map((browser) => listen(browser, `status.${c}.engine`)));

      const { code, reason, error } = await closedWith(token);
      assert.deepEqual([code, reason], [1013, "this user has 3 connections, which is the limit: close one first"]);
      assert.equal(client.isAuthorization(error), false, "it would give up for good");
      expectAudit({ kind: "limited", user, limit: "connections_per_user" });

      comeFrom(newAddress()); // another address is no help
      const again = await closedWith(token);
      assert.equal(again.code, 1013);
      expectAudit({ kind: "limited", user, limit: "connections_per_user" });
      const other = await newUser("other"); // another user is not hurt
      await (await open(t, client, other.token)).nc.flush();

      await browsers[0].nc.close();
      await sleep(100);
      const late = await listen(await open(t, client, token), `status.${c}.engine`);
      await service.publish(c, "engine", "to three");
      for (const { texts } of [heard[1], heard[2], late]) assert.deepEqual(await texts.atLeast(1), ["to three"]);
    });

    test("5 connections of an address, the sixth gets HTTP 429, and may come when another has gone", async (t) => {
      const users = await Promise.all([1, 2].map(() => newUser("neighbours")));
      const browsers = [];
      for (let i = 0; i < 5; i++) browsers.push(await open(t, client, users[i % 2].token));
      const { status, retryAfter, text } = await upgradeFrom(address);
      assert.deepEqual([status, text], [429, "this address has 5 connections, which is its limit: close one first"]);
      assert.ok(retryAfter > 0, `${retryAfter}`);
      await assert.rejects(once(users[0].token));
      expectAudit({ kind: "limited", address, limit: "connections_per_address", count: 2 });
      for (const { nc } of browsers) await nc.flush();

      assert.equal((await upgradeFrom(newAddress())).status, 101);
      await browsers[0].nc.close();
      await sleep(100);
      await (await open(t, client, users[0].token)).nc.flush();
    });

    test("4 bad tokens of an address a minute, then a bad one has to wait; good ones pass, and who is in stays in", async (t) => {
      const { user, token } = await newUser("guessed");
      const c = await newConversation(user);
      const inside = await listen(await open(t, client, token), `status.${c}.engine`);
      const forged = `${token.slice(0, -6)}AAAAAA`;
      const bad = [
        ["not-a-token", "token malformed: it is not a signed JWT"],
        [forged, "token has a wrong signature"],
        [token.replace(/^[^.]*/, Buffer.from('{"alg":"none"}').toString("base64url")), "token has the wrong signature algorithm"],
        [`${forged}.`, "token malformed"],
      ];
      // What was signed is no guess, and is refused with its reason at any time.
      const signed = [
        [await signToken({ sub: user, exp: inSeconds(-3600) }), "token expired: get a fresh one"],
        [await signToken({ sub: user }), "token has no expiry: set the claim exp"],
      ];
      const tries = [...signed, ...bad, ...signed];
      for (const [refused, reason] of tries) {
        await assert.rejects(once(refused), (error) => {
          assert.equal(client.isAuthorization(error), true, String(error));
          assert.ok(error.message.includes(reason), error.message);
          return true;
        });
      }
      expectAudit({ kind: "denied", address, count: tries.length });

      const { code, reason, error } = await closedWith(forged);
      const [, seconds] = reason.match(/^4 failed logins from this address within a minute, which is the limit: try again in (\d+) s$/) ?? assert.fail(reason);
      assert.equal(code, 1013);
      assert.ok(seconds > 30 && seconds <= 60, seconds);
      assert.equal(client.isAuthorization(error), false, "it would give up for good");
      expectAudit({ kind: "limited", address, limit: "failed_logins" });

      await (await open(t, client, token)).nc.flush();
      await service.publish(c, "engine", "still in");
      assert.deepEqual(await inside.texts.atLeast(1), ["still in"]);
    });

    test("30 operations pass, the next closes the connection with the reason", async (t) => {
      const { user, token } = await newUser("operations");
      const c = await newConversation(user);
      const browser = await open(t, client, token);
      const socket = latestSocket();
      const { texts } = await listen(browser, `status.${c}.engine`);
      const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, `${reason}`])));
      await sleep(1_100);
      for (let i = 0; i < 30; i++) browser.nc.publish("gateway.subscriptions");
      await sleep(1_100);
      await browser.nc.flush();
      assert.deepEqual(browser.errors.list, []);
      await sleep(1_100);
      const back = new Heard();
      void (async () => {
        for await (const { type } of browser.nc.status()) if (type === "reconnect") back.add(type);
      })();
      for (let i = 0; i < 31; i++) browser.nc.publish("gateway.subscriptions");
      assert.deepEqual(await closed, [1008, "too many operations"]);
      expectAudit({ kind: "limited", user, limit: "operations" });
      await back.atLeast(1);
      await browser.nc.flush();
      await service.publish(c, "engine", "back again");
      assert.deepEqual(await texts.atLeast(1), ["back again"]);
    });

    test("a browser that does not read is closed, its neighbour misses nothing, and it comes back", { timeout: 40_000 }, async (t) => {
      const { user, token } = await newUser("slow");
      const c = await newConversation(user);
      const slow = await open(t, client, token);
      const socket = latestSocket();
      const frozen = await listen(slow, `status.${c}.engine`);
      const neighbour = await listen(await open(t, client, token), `status.${c}.engine`);
      const back = new Heard();
      void (async () => {
        for await (const { type } of slow.nc.status()) if (type === "reconnect") back.add(type);
      })();
      const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
      socket.pause();
      const text = "x".repeat(60_000);
      let published = 0;
      let isClosed = false;
      void closed.then(() => (isClosed = true));
      for (; published < 300 && !isClosed; published++) await service.publish(c, "engine", text);
      assert.equal((await neighbour.texts.atLeast(published)).length, published);
      socket.resume(); // what the kernel still has is read; then the reset
      assert.equal(await closed, 1006);
      expectAudit({ kind: "slow", user });
      await back.atLeast(1);
      await slow.nc.flush();
      await service.publish(c, "engine", "after the freeze");
      await frozen.texts.until((list) => list.includes("after the freeze"), "the next status");
      assert.ok(frozen.texts.list.length < published, `all of ${published} arrived`);
    });
  });
}
