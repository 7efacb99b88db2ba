import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { onWake } from "../src/wake.ts";

/** As much of a browser's window and document as tells of waking up. */
function browser(t: TestContext): { window: EventTarget; page: EventTarget & { visibilityState: string } } {
  const window = new EventTarget();
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const globals = {
    document: page,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  };
  Object.assign(globalThis, globals);
  t.after(() => {
    for (const name of Object.keys(globals)) Reflect.deleteProperty(globalThis, name);
  });
  return { window, page };
}

test("a page looks at its connection when it is shown, goes on, comes back from the cache, or is online again", (t) => {
  const { window, page } = browser(t);
  let woken = 0;
  const end = onWake(() => woken++);
  const events: [EventTarget, string][] = [[page, "visibilitychange"], [page, "resume"], [window, "pageshow"], [window, "online"]];
  for (const [i, [target, type]] of events.entries()) {
    target.dispatchEvent(new Event(type));
    assert.equal(woken, i + 1, type);
  }
  page.visibilityState = "hidden";
  for (const [target, type] of events) target.dispatchEvent(new Event(type));
  assert.equal(woken, events.length, "a page that is hidden does not");
  page.visibilityState = "visible";
  end();
  for (const [target, type] of events) target.dispatchEvent(new Event(type));
  assert.equal(woken, events.length, "nor one that has closed its client");
});

test("where there is no page there is nothing to listen to", () => {
  onWake(() => assert.fail("it woke up"))();
});
