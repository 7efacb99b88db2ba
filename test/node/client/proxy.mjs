// A network of a test's own between client and server: it can be cut, and it can
// fall silent without a word, as a phone's does.
import { createServer, connect } from "node:net";

export class Proxy {
  #server;
  #port;
  #pairs = new Set();
  #refusing = false;
  connections = 0;

  static async start(t, port) {
    const proxy = new Proxy();
    proxy.#port = port;
    proxy.#server = createServer((inside) => proxy.#join(inside));
    await new Promise((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      proxy.cut();
      proxy.#server.close();
    });
    return proxy;
  }

  /** How many connections there are just now. */
  get open() {
    return this.#pairs.size;
  }

  get ws() {
    return `ws://127.0.0.1:${this.#server.address().port}`;
  }

  #join(near) {
    near.on("error", () => {});
    if (this.#refusing) {
      near.resetAndDestroy();
      return;
    }
    this.connections++;
    const far = connect(this.#port, "127.0.0.1");
    far.on("error", () => near.destroy());
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (piece) => {
        if (!pair.silent) to.write(piece);
      });
      from.on("close", () => {
        if (!pair.silent) to.destroy();
        if (near.destroyed && far.destroyed) this.#pairs.delete(pair);
      });
    }
  }

  /** Resets every connection. */
  cut() {
    for (const { near, far } of this.#pairs) {
      for (const socket of [near, far]) {
        // One that is being shut down Node 20 does not reset, and then cannot end at its exit.
        if (socket.writableEnded) socket.destroy();
        else socket.resetAndDestroy();
      }
    }
    this.#pairs.clear();
  }

  /** From now on nothing passes any more on the connections there are; new ones work. */
  silence() {
    for (const pair of this.#pairs) pair.silent = true;
  }

  /** Refuses new connections, or lets them in again. */
  refuse(refusing) {
    this.#refusing = refusing;
  }
}
