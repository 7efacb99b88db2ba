// Whether everybody can use the page: by keyboard, by ear, in both colour
// schemes, on a wide screen and on a narrow one.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { entries, launch, link, openPage, shows } from "./chromium.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/** Presses Tab until what matches the selector has the focus: what else a browser stops at is its own. */
async function tabTo(page, selector) {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
  }
  throw new Error(`Tab never reaches ${selector}`);
}

test("a user and a conversation are chosen by keyboard alone", async (t) => {
  const page = await openPage(t, browser);
  await shows(link(page), /^Live$/);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Skip to the timeline");
  await tabTo(page, "#user");
  await page.keyboard.press("m");
  await tabTo(page, "#conversation");
  await page.keyboard.press("Enter");
  await shows(page.locator("#notices"), /not found or not yours/);
});

test("categories and the timeline are worked by keyboard alone", async (t) => {
  const page = await openPage(t, browser);
  await page.getByRole("switch", { name: "engine" }).waitFor();
  await tabTo(page, "#disconnect");
  await tabTo(page, "[role=switch]");
  await page.keyboard.press("Space");
  await shows(page.locator("#board article").first(), /off/);
  await tabTo(page, "#pause");
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Resume" }).waitFor();
});

test("what has the focus is to be seen", async (t) => {
  const page = await openPage(t, browser);
  await shows(link(page), /^Live$/);
  for (const id of ["user", "conversation", "watch", "disconnect", "pause", "timeline"]) {
    await tabTo(page, `#${id}`);
    const outline = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return outlineStyle === "none" ? 0 : parseFloat(outlineWidth);
    });
    assert.ok(outline >= 2, `#${id} has an outline of ${outline} px`);
  }
});

test("landmarks, headings and names are there for a screen reader", async (t) => {
  const page = await openPage(t, browser);
  await shows(link(page), /^Live$/);
  await entries(page).first().waitFor();
  for (const role of ["banner", "main", "complementary"]) {
    assert.equal(await page.getByRole(role).count(), 1, role);
  }
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
  assert.equal(await page.getByRole("log", { name: "Timeline" }).getAttribute("aria-live"), "polite");
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select")]
      .filter((control) => !control.labels?.length && !control.textContent.trim() && !control.ariaLabel)
      .map((control) => control.outerHTML),
  );
  assert.deepEqual(nameless, []);
});

// WCAG 2.2, success criterion 1.4.3: 4.5 to 1 for text.
for (const colorScheme of ["light", "dark"]) {
  test(`every text has enough contrast (${colorScheme})`, async (t) => {
    const page = await openPage(t, browser, { colorScheme, reducedMotion: "reduce" });
    await entries(page).nth(5).waitFor({ timeout: 20_000 });
    assert.deepEqual(await page.evaluate(findPaleTexts), []);
  });
}

for (const [name, viewport] of [["wide", { width: 1280, height: 900 }], ["phone", { width: 360, height: 740 }]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`the page fits a ${name} screen (${colorScheme})`, async (t) => {
      const page = await openPage(t, browser, { viewport, colorScheme });
      await entries(page).nth(5).waitFor({ state: "attached", timeout: 20_000 });
      const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.equal(widths[0], widths[1], "it scrolls sideways");
      await takeShot(page, `${name}-${colorScheme}`);
    });
  }
}

test("who wants no motion gets none", async (t) => {
  const page = await openPage(t, browser, { reducedMotion: "reduce" });
  await entries(page).first().waitFor();
  const moving = await page.evaluate(() => document.getAnimations().filter((one) => one.playState === "running").length);
  assert.equal(moving, 0);
});

/** Keeps a picture in the folder that STATUSWIRE_SHOTS names, if it names one. */
async function takeShot(page, name) {
  const folder = process.env.STATUSWIRE_SHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Runs in the page: the texts whose colour is too near to what lies behind. */
function findPaleTexts() {
  const parse = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) =>
    [r, g, b]
      .map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ""))
    .filter((element) => element.checkVisibility() && !element.closest(":disabled, option"))
    .map((element) => {
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      return { ratio, what: `${element.tagName}.${element.className}: ${element.textContent.slice(0, 30)}` };
    })
    .filter(({ ratio }) => ratio < 4.5)
    .map(({ ratio, what }) => `${ratio.toFixed(2)} ${what}`);
}
