// Chromium by the DevTools protocol itself: what drives pages for other tests keeps
// them visible for ever, and a visible page does not sleep.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";

export class Chromium {
  #process;
  #folder = mkdtempSync(join(tmpdir(), "statuswire-chromium-"));
  #socket;
  #last = 0;
  #waiting = new Map(); // id → what waits for the answer

  static async launch() {
    const chromium = new Chromium();
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
    const args = [...flags, "--remote-debugging-port=0", `--user-data-dir=${chromium.#folder}`, "about:blank"];
    chromium.#process = spawn(process.env.CHROMIUM ?? "/usr/bin/chromium", args, { stdio: ["ignore", "ignore", "pipe"] });
    const url = await new Promise((resolve, reject) => {
      let log = "";
      chromium.#process.stderr.on("data", (piece) => {
        log += piece;
        const [, found] = /DevTools listening on (ws:\S+)/.exec(log) ?? [];
        if (found !== undefined) resolve(found);
      });
      chromium.#process.on("error", reject);
      chromium.#process.on("exit", () => reject(new Error(`Chromium has ended:\n${log}`)));
    });
    chromium.#socket = new WebSocket(url);
    chromium.#socket.on("message", (data) => chromium.#receive(JSON.parse(data)));
    await new Promise((resolve) => chromium.#socket.on("open", resolve));
    return chromium;
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.on("exit", resolve));
    await this.send("Browser.close");
    await ended;
    // Its helpers may still be writing.
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** Opens an address in a tab of its own; it closes with the test. */
  async open(t, url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    t.after(() => this.send("Target.closeTarget", { targetId }));
    return new Tab(this, targetId, sessionId);
  }

  send(method, params = {}, sessionId = undefined) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#last, { resolve, reject, method });
      this.#socket.send(JSON.stringify({ id: this.#last, method, params, sessionId }));
    });
  }

  #receive({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error !== undefined) waiting?.reject(new Error(`${waiting.method}: ${error.message}`));
    else waiting?.resolve(result);
  }
}

class Tab {
  #chromium;
  #targetId;
  #sessionId;

  constructor(chromium, targetId, sessionId) {
    this.#chromium = chromium;
    this.#targetId = targetId;
    this.#sessionId = sessionId;
  }

  #send(method, params) {
    return this.#chromium.send(method, params, this.#sessionId);
  }

  /** The value of an expression in the page; undefined while there is none. */
  async value(expression) {
    const { result } = await this.#send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    return result.value;
  }

  /** Has another tab shown. */
  async hide(t) {
    await this.#chromium.open(t, "about:blank");
    const end = Date.now() + 5_000;
    while ((await this.value("document.visibilityState")) !== "hidden") {
      if (Date.now() > end) throw new Error("the tab is never hidden");
    }
  }

  /** Hides it and stops it, as a browser does with a tab that is long unseen. */
  async sleep(t) {
    await this.hide(t);
    await this.#send("Page.setWebLifecycleState", { state: "frozen" });
  }

  /** Goes on, and is shown again. */
  async wake() {
    await this.#send("Page.setWebLifecycleState", { state: "active" });
    await this.#chromium.send("Target.activateTarget", { targetId: this.#targetId });
  }

  async setOffline(offline) {
    await this.#send("Network.enable", {});
    await this.#send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  }
}
