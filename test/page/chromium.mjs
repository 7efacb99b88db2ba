// Debian's Chromium with the page open in it.
import { chromium } from "playwright-core";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const http = process.env.STATUSWIRE_HTTP;
if (!http) throw new Error("STATUSWIRE_HTTP is not set: run these tests by `make test-e2e`, which starts a server");

export const launch = () => chromium.launch({ executablePath, headless: true, args: quiet });

/**
 * Opens the page in a window of its own; it closes with the test. A script error
 * or a breach of the Content-Security-Policy fails the test.
 */
export async function openPage(t, browser, { before, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (/content.security.policy/i.test(message.text())) complaints.push(message.text());
  });
  t.after(async () => {
    await context.close();
    if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join("; ")}`);
  });
  await before?.(page);
  await page.goto(http);
  return page;
}

export const entries = (page) => page.locator("#timeline > li");
export const link = (page) => page.locator("#link-text");

/** Waits until an element's text matches; fails with what it was instead. */
export async function shows(locator, pattern, timeout = 5_000) {
  const end = Date.now() + timeout;
  let text = "";
  while (Date.now() < end) {
    text = (await locator.allTextContents()).join("\n");
    if (pattern.test(text)) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited ${timeout} ms for ${pattern}; it shows ${JSON.stringify(text)}`);
}

/** Watches a conversation as one of the demo's users. */
export async function watchAs(page, user, conversation) {
  await page.selectOption("#user", user);
  await page.fill("#conversation", conversation);
  await page.click("#watch");
}
