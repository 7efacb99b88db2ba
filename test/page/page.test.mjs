import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newConversation, newUser, startService, statuswire } from "../node/server.mjs";
import { entries, launch, link, openPage, shows, watchAs } from "./chromium.mjs";

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

/** A conversation of alice, watched; nobody else publishes into it. */
async function watchOwn(t, options) {
  const page = await openPage(t, browser, options);
  const c = await newConversation("alice");
  await shows(link(page), /^Live$/);
  await watchAs(page, "alice", c);
  await shows(page.locator("#where"), new RegExp(c));
  await shows(page.locator("#categories"), /info/);
  return { page, c };
}

test("the demo is live within five seconds of opening", async (t) => {
  const page = await openPage(t, browser);
  await shows(link(page), /^Live$/);
  const drawn = await entries(page).count();
  await page.waitForFunction((n) => document.querySelectorAll("#timeline > li").length > n, drawn, { timeout: 5_000 });
  const took = await page.evaluate(() => performance.now());
  assert.ok(took < 5_000, `it took ${took} ms`);
});

test("a status is drawn with its category, words, progress and details", async (t) => {
  const { page, c } = await watchOwn(t);
  await service.publish(c, "engine", "Processing query…", { metadata: { step: 1, total_steps: 3, model: "small" }, priority: "high" });
  await shows(entries(page), /engine.*high Processing query….*1 of 3.*model/s);
  const bar = entries(page).locator("progress");
  assert.deepEqual(await bar.evaluate((element) => [element.value, element.max]), [1, 3]);
  await shows(page.locator("#board article", { hasText: "engine" }), /Processing query…/);
});

test("what was published before is there at once, and nothing is drawn twice", async (t) => {
  const page = await openPage(t, browser);
  const c = await newConversation("alice");
  for (const text of ["old one", "last one"]) await service.publish(c, "tool", text);
  await watchAs(page, "alice", c);
  await shows(entries(page), /last one/);
  await service.publish(c, "tool", "live one");
  await shows(entries(page), /live one/);
  assert.equal(await entries(page).count(), 2);
});

test("a category switched off stops, and switched on catches up", async (t) => {
  const { page, c } = await watchOwn(t);
  const engine = page.getByRole("switch", { name: "engine" });
  await engine.uncheck();
  await service.publish(c, "engine", "unheard");
  await service.publish(c, "info", "marker");
  await shows(entries(page), /marker/);
  assert.doesNotMatch((await entries(page).allTextContents()).join(), /unheard/);
  await shows(page.locator("#board article", { hasText: "engine" }), /off/);
  await engine.check();
  await shows(entries(page), /unheard/);
});

test("a stranger's conversation is refused in words, and one's own works after it", async (t) => {
  const page = await openPage(t, browser);
  await watchAs(page, "mallory", "demo");
  await shows(page.locator("#notices"), /Conversation “demo” refused.*not found or not yours/s);
  await shows(link(page), /^Live$/);
  assert.equal(await entries(page).count(), 0);
  await watchAs(page, "alice", "demo");
  await entries(page).first().waitFor();
});

test("a wrong token is refused in words", async (t) => {
  const page = await openPage(t, browser);
  await page.selectOption("#user", { label: "Another, by token" });
  await page.fill("#token", "nonsense");
  await page.fill("#conversation", "demo");
  await page.click("#watch");
  await shows(page.locator("#form-error"), /token malformed/i);
  await shows(link(page), /^Closed$/);
  assert.doesNotMatch(page.url(), /nonsense/);
});

test("a typed token works as well", async (t) => {
  const { user, token } = await newUser("carol");
  const c = await newConversation(user);
  const page = await openPage(t, browser);
  await page.selectOption("#user", { label: "Another, by token" });
  await page.fill("#token", token);
  await page.fill("#conversation", c);
  await page.click("#watch");
  await shows(page.locator("#where"), new RegExp(c));
  await service.publish(c, "info", "hello carol");
  await shows(entries(page), /hello carol/);
});

test("a form without what it needs says so", async (t) => {
  const page = await openPage(t, browser);
  await watchAs(page, "alice", "no spaces allowed");
  await shows(page.locator("#form-error"), /conversation id has/i);
  assert.equal(await page.evaluate(() => document.activeElement.id), "conversation");
});

test("access lost while watching is told at the categories, and the page stays connected", async (t) => {
  const { user } = await newUser("bob");
  const shared = await newConversation(user, "--member", "alice");
  const page = await openPage(t, browser);
  await watchAs(page, "alice", shared);
  await shows(page.locator("#categories"), /info/);
  await statuswire("conversation", "remove", shared, "--member", "alice");
  await shows(page.locator("#notices"), /Subscription refused.*Categories: .*engine/s);
  await shows(page.locator("#categories"), /Refused/);
  await shows(link(page), /^Live$/);
  await page.click("#watch");
  await shows(page.locator("#notices"), /Conversation .* refused.*not found or not yours/s);
});

test("watching the same conversation again changes nothing", async (t) => {
  const { page, c } = await watchOwn(t);
  await service.publish(c, "info", "first");
  await shows(entries(page), /first/);
  await page.click("#watch");
  await service.publish(c, "info", "second");
  await shows(entries(page), /second/);
  assert.equal(await entries(page).count(), 2);
});

test("of two conversations chosen in a row the last one wins", async (t) => {
  const { page } = await watchOwn(t);
  const [first, last] = [await newConversation("alice"), await newConversation("alice")];
  await page.evaluate((ids) => {
    for (const id of ids) {
      document.getElementById("conversation").value = id;
      document.getElementById("watch").click();
    }
  }, [first, last]);
  await shows(page.locator("#where"), new RegExp(last));
  await service.publish(first, "info", "of the first");
  await service.publish(last, "info", "of the last");
  await shows(entries(page), /of the last/);
  assert.equal(await entries(page).count(), 1);
});

test("a hostile status stays text", async (t) => {
  const { page, c } = await watchOwn(t);
  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  await service.publish(c, "info", hostile, { metadata: { "<b>key</b>": hostile } });
  await shows(entries(page), /<img src=x/);
  assert.equal(await page.locator("main img, main script, main b").count(), 0);
  assert.doesNotMatch(await page.title(), /owned/);
});

test("many statuses never grow the page beyond its bound", async (t) => {
  const { page, c } = await watchOwn(t);
  await Promise.all(Array.from({ length: 300 }, (_, i) => service.publish(c, "progress", `number ${i}`)));
  await shows(page.locator("#timeline-foot"), /300 received/, 10_000);
  assert.equal(await entries(page).count(), 200);
});

test("a pause holds the timeline and says what waits", async (t) => {
  const { page, c } = await watchOwn(t);
  await page.getByRole("button", { name: "Pause" }).click();
  await service.publish(c, "info", "later");
  const resume = page.getByRole("button", { name: "Resume (1 new)" });
  await resume.waitFor();
  assert.equal(await entries(page).count(), 0);
  await resume.click();
  await shows(entries(page), /later/);
});

test("a lost connection is told, comes back by itself and brings what was missed", async (t) => {
  const sockets = [];
  let away = false;
  const { page, c } = await watchOwn(t, {
    before: (opened) => opened.routeWebSocket(/\/ws$/, (socket) => {
      if (away) return void socket.close({ code: 1001 }); // the next attempt may come at once
      const server = socket.connectToServer();
      sockets.push({ socket, server });
    }),
  });
  await service.publish(c, "info", "before the cut");
  await shows(entries(page), /before the cut/);
  const { socket, server } = sockets.at(-1);
  away = true;
  await server.close({ code: 1000 });
  await socket.close({ code: 1001, reason: "cut by the test" });
  await shows(link(page), /^Reconnecting…$/);
  await service.publish(c, "info", "while away");
  away = false;
  await shows(link(page), /^Live$/, 15_000);
  await shows(entries(page), /while away/);
  await service.publish(c, "info", "back again");
  await shows(entries(page), /back again/);
  assert.equal(await entries(page).count(), 3);
});

test("disconnecting ends the connection and says so", async (t) => {
  const page = await openPage(t, browser);
  await shows(link(page), /^Live$/);
  await page.click("#disconnect");
  await shows(link(page), /^Closed$/);
});
