// A browser of a test: one connection that ends with the test, and what it
// heard, to be waited for.
import { ws } from "./server.mjs";

const patienceMillis = 5_000;

/** Connects with nothing but `servers` and `token`. */
export async function open(t, client, token) {
  const nc = await client.connect({ servers: ws, token });
  const errors = new Heard();
  void (async () => {
    for await (const status of nc.status()) {
      const text = client.errorText(status);
      if (text !== undefined) errors.add(text);
    }
  })();
  t.after(() => nc.close());
  return { nc, errors, client };
}

/** Subscribes and keeps what comes: statuses by their text, or the error. */
export async function listen({ nc }, subject, options = {}) {
  const texts = new Heard();
  const failures = new Heard();
  const subscription = nc.subscribe(subject, {
    ...options,
    callback: (error, message) => (error ? failures.add(error) : texts.add(message.json().text)),
  });
  await nc.flush();
  return { subscription, texts, failures };
}

/** A growing list that can be waited for. */
export class Heard {
  list = [];
  #waiting = [];

  add(item) {
    this.list.push(item);
    this.#waiting = this.#waiting.filter((check) => !check());
  }

  /** Waits until there are `count`; answers them. */
  async atLeast(count) {
    await this.until((list) => list.length >= count, `${count} of them`);
    return this.list;
  }

  async until(holds, what) {
    if (holds(this.list)) return;
    const cause = new Error("here"); // its stack says who waited
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`waited ${patienceMillis} ms for ${what}; there are ${JSON.stringify(this.list.map(String))}`, { cause }));
      }, patienceMillis);
      this.#waiting.push(() => {
        if (!holds(this.list)) return false;
        clearTimeout(timer);
        resolve();
        return true;
      });
    });
  }
}
