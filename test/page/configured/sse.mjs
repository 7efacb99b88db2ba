// Native EventSource in Chromium. Between it and the server stands a proxy that
// can cut the connection, as networks do.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { after, before, test } from "node:test";
import { newConversation, newUser, startService, statuswire } from "../../node/server.mjs";
import { http, launch } from "../chromium.mjs";

const { STATUSWIRE_ALLOWED: allowed, STATUSWIRE_FOREIGN: foreign } = process.env;
const upstream = new URL(http);

let browser;
let service;
before(async () => {
  browser = await launch();
  service = await startService();
});
after(async () => {
  await service?.close();
  await browser?.close();
});

/** A proxy in front of the server, of the test alone. */
async function startProxy(t) {
  const open = new Set();
  let port = 0;
  let server;
  const proxy = {
    streams: [], // when each stream of events was asked for
    async listen() {
      server = net.createServer((near) => {
        const far = net.connect(upstream.port, upstream.hostname);
        open.add(near);
        near.on("data", (bytes) => {
          if (bytes.includes("/events")) proxy.streams.push(Date.now());
          far.write(bytes);
        });
        far.pipe(near);
        near.on("close", () => (open.delete(near), far.destroy()));
        near.on("error", () => far.destroy());
        far.on("error", () => near.destroy());
      });
      await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
      port = server.address().port;
      proxy.url = `http://127.0.0.1:${port}`;
    },
    cut() {
      for (const near of open) near.resetAndDestroy();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      proxy.cut();
      await closed;
    },
  };
  await proxy.listen();
  t.after(() => proxy.stop().catch(() => undefined));
  return proxy;
}

/** A page of an origin, with the user's token in the cookie. */
async function openPage(t, url, token) {
  const context = await browser.newContext();
  t.after(() => context.close());
  await context.addCookies([{ name: "app", value: token, url: http, httpOnly: true, sameSite: "Lax" }]);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

/** Opens an EventSource in the page; what it gets is in window.got. */
const listen = (page, url, init) =>
  page.evaluate(
    ({ url, init }) =>
      new Promise((resolve) => {
        window.got = [];
        window.opened = 0;
        window.source = new EventSource(url, init);
        source.onopen = () => resolve(++window.opened);
        source.addEventListener("status", (e) => got.push({ id: Number(e.lastEventId), ...JSON.parse(e.data) }));
        source.addEventListener("truncated", (e) => got.push(JSON.parse(e.data)));
        source.addEventListener("error", (e) => {
          if (e.data) got.push(JSON.parse(e.data));
          else if (source.readyState === EventSource.CLOSED) resolve("closed");
        });
      }),
    { url, init },
  );

/** Waits until the page has got so many, and answers them. */
async function got(page, n, timeout = 20_000) {
  await page.waitForFunction((n) => window.got.length >= n, n, { timeout });
  return page.evaluate(() => window.got);
}
const texts = (all) => all.map((status) => status.text);
const state = (page, wanted, timeout = 20_000) => page.waitForFunction((w) => source.readyState === w, wanted, { timeout });
const CLOSED = 2;

test("EventSource with a cookie comes back by itself after a cut, and nothing is lost or twice", async (t) => {
  const proxy = await startProxy(t);
  const { user, token } = await newUser();
  const c = await newConversation(user);
  const page = await openPage(t, proxy.url, token);
  assert.equal(await listen(page, `/v1/conversations/${c}/events`), 1);
  const wanted = [];
  const publish = async (category) => {
    wanted.push(`${wanted.length}`);
    await service.publish(c, category, wanted.at(-1));
  };
  for (let round = 0; round < 3; round++) {
    for (const category of ["engine", "tool", "info"]) await publish(category);
    await got(page, wanted.length);
    const cutAt = Date.now();
    proxy.cut();
    for (const category of ["tool", "engine"]) await publish(category); // while it is away
    await got(page, wanted.length);
    const waited = proxy.streams.at(-1) - cutAt;
    assert.ok(waited >= 900, `it came back after ${waited} ms, the hint was one to three seconds`);
  }
  const all = await got(page, wanted.length);
  assert.deepEqual(texts(all), wanted);
  assert.equal(proxy.streams.length, 4);
  assert.deepEqual(all.map(({ id }) => id), all.map(({ id }) => id).toSorted((a, b) => a - b));
});

test("it comes back when the server was away for a while", async (t) => {
  const proxy = await startProxy(t);
  const { user, token } = await newUser();
  const c = await newConversation(user);
  const page = await openPage(t, proxy.url, token);
  await listen(page, `/v1/conversations/${c}/events?categories=engine`);
  await service.publish(c, "engine", "before");
  await got(page, 1);
  await proxy.stop();
  await service.publish(c, "engine", "meanwhile");
  await service.publish(c, "tool", "not asked for");
  await new Promise((resolve) => setTimeout(resolve, 5_000)); // it tries, and is refused by the network
  await proxy.listen();
  assert.deepEqual(texts(await got(page, 2)), ["before", "meanwhile"]);
});

test("a page of an allowed origin uses the cookie, one of a foreign origin does not", async (t) => {
  const { user, token } = await newUser();
  const c = await newConversation(user);
  const url = `${http}/v1/conversations/${c}/events`;
  const ours = await openPage(t, allowed, token);
  assert.equal(await listen(ours, url, { withCredentials: true }), 1);
  await service.publish(c, "engine", "for the allowed");
  assert.deepEqual(texts(await got(ours, 1)), ["for the allowed"]);

  const theirs = await openPage(t, foreign, token);
  assert.equal(await listen(theirs, url, { withCredentials: true }), "closed");
  assert.deepEqual(await theirs.evaluate(() => got), []);
});

test("a page that holds its token sends it by fetch, and reads refusals too", async (t) => {
  const { user, token } = await newUser();
  const c = await newConversation(user);
  const base = `${http}/v1/conversations`;
  const page = await openPage(t, allowed, "no token in the cookie");
  await service.publish(c, "engine", "stored");
  const read = (url, token) =>
    page.evaluate(
      async ({ url, token }) => {
        const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
        return { status: answer.status, after: answer.headers.get("Retry-After"), text: await answer.text() };
      },
      { url, token },
    );
  const history = await read(`${base}/${c}/history`, token);
  assert.equal(history.status, 200);
  const lines = history.text.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines[0].status.text, "stored");
  assert.equal(lines[1].end.count, 1);
  const refused = await read(`${base}/not-theirs/events`, token);
  assert.equal(refused.status, 404);
  assert.equal(JSON.parse(refused.text).error.err_code, 20102);
  const theirs = await openPage(t, foreign, "none");
  const answer = await theirs.evaluate(
    ({ url, token }) => fetch(url, { headers: { Authorization: `Bearer ${token}` } }).then(() => "read", String),
    { url: `${base}/${c}/history`, token },
  );
  assert.match(answer, /^TypeError/); // the rest of the words is each browser's own
});

test("a kick is told and survived, lost access is told and final", async (t) => {
  const { user, token } = await newUser();
  const c = await newConversation("somebody", "--member", user);
  const page = await openPage(t, http, token);
  await listen(page, `/v1/conversations/${c}/events`);
  await statuswire("session", "kick", "--user", user, "--reason", "please log in again");
  const [kicked] = await got(page, 1);
  assert.deepEqual(kicked.error, { code: 503, err_code: 20207, description: "please log in again" });
  await page.waitForFunction(() => opened === 2);
  await service.publish(c, "engine", "back");
  assert.equal((await got(page, 2))[1].text, "back");
  await statuswire("conversation", "remove", c, "--member", user);
  const lost = (await got(page, 3))[2];
  assert.equal(lost.error.err_code, 20102);
  await state(page, CLOSED); // the 404 of its next attempt
});

test("what docs/sse.md shows does what it says", async (t) => {
  const text = await readFile(new URL("../../../docs/sse.md", import.meta.url), "utf8");
  const code = text.match(/```js\n(const url = [^]*?)```/)[1];
  const proxy = await startProxy(t);
  const { user, token } = await newUser();
  const c = await newConversation("somebody", "--member", user);
  const page = await openPage(t, proxy.url, token);
  const script = code.replace("https://status.example.com/v1/conversations/demo/events", `${proxy.url}/v1/conversations/${c}/events`).replaceAll("5000", "500").replace("let source", "var source");
  assert.notEqual(script, code);
  await page.evaluate(`
    ${script}
    window.drawn = []; window.said = [];
    listen((status) => drawn.push(status.text), (words) => said.push(words));
    new Promise((resolve) => { source.onopen = resolve; });
  `);
  const shows = async (what, wanted) => {
    await page.waitForFunction(([what, n]) => window[what].length >= n, [what, wanted.length], { timeout: 20_000 });
    assert.deepEqual(await page.evaluate((what) => window[what], what), wanted);
  };
  await service.publish(c, "engine", "one");
  await shows("drawn", ["one"]);
  // EventSource gives up at an HTTP error: here at that of a proxy whose server is away.
  const original = upstream.port;
  t.after(() => (upstream.port = original));
  const broken = net.createServer((near) => near.end("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
  await new Promise((resolve) => broken.listen(0, "127.0.0.1", resolve));
  t.after(() => broken.close());
  upstream.port = broken.address().port;
  proxy.cut();
  await page.waitForFunction(() => source.readyState === EventSource.CLOSED, undefined, { timeout: 20_000 });
  await service.publish(c, "engine", "two");
  upstream.port = original;
  await shows("drawn", ["one", "two"]);
  await statuswire("conversation", "remove", c, "--member", user);
  await shows("said", [`your access to conversation "${c}" has ended`, `conversation "${c}" is not found or not yours`]);
});
