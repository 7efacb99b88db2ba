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
  #expected = []; // events that somebody waits for

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

  /** The next event of this name from a tab. */
  next(event, sessionId) {
    return new Promise((resolve) => this.#expected.push({ event, sessionId, resolve }));
  }

  #receive({ id, result, error, method, params, sessionId }) {
    if (id === undefined) {
      const i = this.#expected.findIndex((one) => one.event === method && one.sessionId === sessionId);
      if (i >= 0) this.#expected.splice(i, 1)[0].resolve(params);
      return;
    }
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
  #stop; // ends when a page that stands still goes on

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

  async show() {
    await this.#chromium.send("Target.activateTarget", { targetId: this.#targetId });
  }

  /** Hides it and freezes it, as a browser does with a tab that is long unseen. What becomes of its sockets is the browser's to decide. */
  async sleep(t) {
    await this.hide(t);
    await this.#send("Page.setWebLifecycleState", { state: "frozen" });
  }

  async wake() {
    await this.#send("Page.setWebLifecycleState", { state: "active" });
    await this.show();
  }

  /** Hides it and stops it where it is, as at a breakpoint: nothing of it runs, and its sockets are left open. */
  async standStill(t) {
    await this.hide(t);
    await this.#send("Debugger.enable", {});
    const isPaused = this.#chromium.next("Debugger.paused", this.#sessionId);
    this.#stop = this.#send("Runtime.evaluate", { expression: "debugger" });
    await isPaused;
  }

  /** Goes on, and is shown again. */
  async goOn() {
    await this.#send("Debugger.resume", {});
    await this.#stop;
    await this.#send("Debugger.disable", {});
    await this.show();
  }

  async setOffline(offline) {
    await this.#send("Network.enable", {});
    await this.#send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  }
}
