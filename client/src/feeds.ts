// The subscriptions on the wire: one for each subject, shared by all who listen,
// as the server counts them, and as its refusals name the subject alone.

import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { deferred } from "./deferred.ts";
import type { StatuswireError } from "./errors.ts";
import type { Pacer } from "./pacer.ts";
import { permissionError } from "./refusal.ts";

export interface Listener {
  /** The SUB has taken effect: everything that is published from now on arrives. */
  ready(subject: string): void;
  message(message: Msg): void;
  /** The server has refused or ended it; nobody listens any more. */
  refused(subject: string, error: StatuswireError): void;
}

interface Feed {
  readonly listeners: Set<Listener>;
  sub: Subscription | undefined;
  ready: boolean;
}

export class Feeds {
  readonly #pacer: Pacer;
  readonly #feeds = new Map<string, Feed>();
  #nats: NatsConnection | undefined;
  #working = false;
  #again = false; // somebody has come, or another connection, while it works
  #endFlush = (): void => {};

  constructor(pacer: Pacer) {
    this.#pacer = pacer;
  }

  /** Listens to a subject; `ready` follows, also when somebody listens already. */
  listen(subject: string, listener: Listener): void {
    const feed = this.#feeds.get(subject) ?? { listeners: new Set(), sub: undefined, ready: false };
    this.#feeds.set(subject, feed);
    feed.listeners.add(listener);
    if (!feed.ready) {
      void this.#work();
      return;
    }
    const nats = this.#nats;
    queueMicrotask(() => {
      if (feed.ready && nats === this.#nats && feed.listeners.has(listener)) listener.ready(subject);
    });
  }

  /** Listens no longer. */
  leave(subject: string, listener: Listener): void {
    const feed = this.#feeds.get(subject);
    if (feed?.listeners.delete(listener) !== true || feed.listeners.size > 0) return;
    this.#feeds.delete(subject);
    if (feed.sub === undefined || this.#nats === undefined) return;
    this.#pacer.spend();
    feed.sub.unsubscribe();
  }

  connected(nats: NatsConnection): void {
    this.#nats = nats;
    void this.#work();
  }

  disconnected(): void {
    this.#nats = undefined;
    this.#endFlush(); // of a connection that has ended it never comes back
    for (const feed of this.#feeds.values()) {
      feed.sub = undefined;
      feed.ready = false;
    }
  }

  /** Sends the SUBs that are missing, waits until they have taken effect, until there are no more. */
  async #work(): Promise<void> {
    this.#again = true;
    if (this.#working) return;
    this.#working = true;
    try {
      while (this.#again) {
        await Promise.resolve(); // those of one script go out together
        this.#again = false;
        const nats = this.#nats;
        if (nats === undefined) return;
        const sent = await this.#send(nats);
        if (sent.size === 0) continue;
        await this.#flush(nats);
        if (nats === this.#nats) this.#tellReady(sent);
      }
    } finally {
      this.#working = false;
    }
  }

  async #flush(nats: NatsConnection): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#endFlush = () => resolve();
    nats.flush().then(resolve, resolve);
    await promise;
  }

  async #send(nats: NatsConnection): Promise<Map<string, Feed>> {
    const sent = new Map<string, Feed>();
    for (const [subject, feed] of this.#feeds) {
      if (feed.sub !== undefined) continue;
      await this.#pacer.take();
      if (nats !== this.#nats || nats.isClosed()) break;
      if (this.#feeds.get(subject) !== feed) continue; // left meanwhile
      feed.sub = this.#subscribe(nats, subject, feed);
      sent.set(subject, feed);
    }
    if (sent.size > 0) await this.#pacer.take(); // the flush
    return sent;
  }

  #subscribe(nats: NatsConnection, subject: string, feed: Feed): Subscription {
    return nats.subscribe(subject, {
      callback: (error, message) => {
        if (nats !== this.#nats || this.#feeds.get(subject) !== feed) return;
        if (error === null) for (const listener of [...feed.listeners]) listener.message(message);
        else this.#refused(subject, feed, error);
      },
    });
  }

  #refused(subject: string, feed: Feed, error: Error): void {
    this.#feeds.delete(subject);
    const refusal = permissionError(error.message, error);
    for (const listener of feed.listeners) listener.refused(subject, refusal);
  }

  #tellReady(sent: ReadonlyMap<string, Feed>): void {
    for (const [subject, feed] of sent) {
      if (this.#feeds.get(subject) !== feed) continue; // refused or left meanwhile
      feed.ready = true;
      for (const listener of [...feed.listeners]) listener.ready(subject);
    }
  }
}
