import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { listen, open } from "./browser.mjs";
import { clients } from "./clients.mjs";
import { inSeconds, newConversation, newUser, signToken, startService, ws } from "./server.mjs";

for (const client of clients) {
  describe(`${client.name}: logging in`, () => {
    let service;
    let alice;
    let c;
    before(async () => {
      service = await startService();
      alice = await newUser("alice");
      c = await newConversation(alice.user);
    });
    after(() => service.close());

    const refusals = [
      ["a token that is none", () => "no-token-at-all", /authorization violation: token malformed/i],
      ["a forged token", async () => `${alice.token.slice(0, -6)}AAAAAA`, /authorization violation: token has a wrong signature/i],
      ["an expired token", () => signToken({ sub: alice.user, exp: inSeconds(-3600) }), /authorization violation: token expired/i],
      ["a token without an end", () => signToken({ sub: alice.user }), /authorization violation: token has no expiry/i],
    ];
    for (const [name, token, reason] of refusals) {
      test(`${name} is refused with the reason`, async () => {
        await assert.rejects(client.connect({ servers: ws, token: await token() }), (error) => {
          assert.equal(client.isAuthorization(error), true, String(error));
          assert.match(error.message, reason);
          return true;
        });
      });
    }

    test("no token at all is refused with the reason", async () => {
      await assert.rejects(client.connect({ servers: ws }), (error) => {
        assert.match(error.message, /authorization violation: no token/i);
        return true;
      });
    });

    test("a token of 3.5 KiB works", async (t) => {
      const claims = { sub: alice.user, exp: inSeconds(600), groups: "" };
      const short = (await signToken(claims)).length;
      // Three bytes of a claim are four characters of the token.
      claims.groups = "g".repeat(Math.floor(((3584 - short) * 3) / 4));
      const token = await signToken(claims);
      assert.ok(token.length >= 3580 && token.length <= 3584, `the token has ${token.length} characters`);
      const browser = await open(t, client, token);
      const { texts } = await listen(browser, `status.${c}.engine`);
      await service.publish(c, "engine", "hello");
      assert.deepEqual(await texts.atLeast(1), ["hello"]);
    });

    test("a CONNECT beyond the control line is refused with the reason", async () => {
      await assert.rejects(client.connect({ servers: ws, token: "x".repeat(5_000) }), /token too long: CONNECT may have at most 4096 bytes with it/i);
    });

    test("a SUB beyond the control line closes the connection with the reason", async (t) => {
      const { nc, errors } = await open(t, client, alice.token);
      nc.subscribe(`status.${c}.${"x".repeat(5_000)}`);
      await errors.atLeast(1);
      // nats.ws gives only the kind of error; nats-core gives the text.
      assert.match(errors.list[0], /control line|PROTOCOL/i);
    });

    test("what the server tells of itself holds nothing of the inside", async (t) => {
      const { nc } = await open(t, client, alice.token);
      for (const key of ["xkey", "connect_urls", "nonce", "cluster", "git_commit"]) {
        assert.equal(nc.info[key], undefined, key);
      }
      assert.equal(nc.info.headers, true);
    });
  });
}
