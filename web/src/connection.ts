// One connection to the server, through the ordinary nats-core client. It turns
// what happens into events of the model and decides nothing about the page.

import { errors, type Msg, type NatsConnection, type Subscription, wsconnect } from "@nats-io/nats-core";
import { backoffMillis } from "./backoff.ts";
import { type Joined, parseJoined, parseRefusal } from "./join.ts";
import type { Event } from "./model.ts";
import { connectionWords, permissionWords, protocolWords, type Reach, requestWords, sentence } from "./refusal.ts";
import { parseJson, parseSequence, parseStatus } from "./status.ts";

export interface ConnectionOptions {
  /** ws:// or wss://. */
  readonly url: string;
  readonly token: string;
  /** Called with each event, until close. */
  readonly emit: (event: Event) => void;
  /** Asks over HTTP whether the server is there; to explain a failed connect. */
  readonly reach: () => Promise<Reach>;
}

const requestTimeoutMillis = 5_000;
const connectTimeoutMillis = 6_000;
/** After a close an error line that came before it may still be in the client. */
const closeGraceMillis = 200;

export class Connection {
  readonly #options: ConnectionOptions;
  #nats: NatsConnection | null = null;
  #conversation: string | null = null;
  readonly #subscriptions = new Map<string, Subscription>();
  #attempt = 1;
  #closed = false;
  /** The reason in the last close frame; nats-core does not hand it on. */
  #closeReason = "";

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Connects; false if that failed. The event says why. */
  async open(): Promise<boolean> {
    this.#emit({ type: "link", state: "connecting" });
    try {
      this.#nats = await this.#connect();
    } catch (error) {
      const note = connectionWords(error, await this.#options.reach(), this.#closeReason);
      this.#emit({ type: "link", state: "closed", note });
      return false;
    }
    if (this.#closed) {
      await this.#nats.close();
      return false;
    }
    this.#emit({ type: "link", state: "live" });
    void this.#follow(this.#nats);
    return true;
  }

  /**
   * Fails as soon as the server closes the first socket. By itself nats-core
   * waits for its timeout when the close carries no error line.
   */
  #connect(): Promise<NatsConnection> {
    return new Promise((resolve, reject) => {
      wsconnect({
        servers: this.#options.url,
        token: this.#options.token,
        // A unique name of 20 or more characters makes the connection resumable.
        name: `page-${uniqueId()}`,
        timeout: connectTimeoutMillis,
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => backoffMillis(this.#attempt, Math.random()),
        wsFactory: (url) => Promise.resolve(this.#openSocket(url, reject)),
      }).then(resolve, reject);
    });
  }

  #openSocket(url: string, end: (reason: Error) => void): { socket: WebSocket; encrypted: boolean } {
    const socket = new WebSocket(url);
    socket.addEventListener("close", ({ reason }) => {
      this.#closeReason = reason;
      setTimeout(() => end(new errors.ConnectionError("")), closeGraceMillis);
    });
    return { socket, encrypted: url.startsWith("wss:") };
  }

  /** Joins a conversation and subscribes to all of its categories. */
  async watch(conversation: string): Promise<void> {
    if (conversation !== this.#conversation) this.#leave();
    this.#conversation = conversation;
    const joined = await this.#join(conversation);
    if (joined === null) return;
    for (const name of joined.categories) this.#subscribe(conversation, name);
    await this.#catchUp();
  }

  /** Subscribes to a category of the conversation, or unsubscribes. */
  async switch(name: string, on: boolean): Promise<void> {
    if (this.#conversation === null) return;
    if (!on) {
      this.#unsubscribe(name);
      return;
    }
    this.#subscribe(this.#conversation, name);
    await this.#catchUp();
  }

  /** Ends the connection; no event comes after it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#nats?.close();
  }

  /**
   * Draws what the subscriptions may have missed: everything before the PONG is
   * either in the snapshot or arrives live, so nothing falls between the two.
   */
  async #catchUp(): Promise<void> {
    const conversation = this.#conversation;
    if (conversation === null) return;
    try {
      await this.#nats?.flush();
    } catch {
      return; // Disconnected: the reconnect catches up again.
    }
    if (conversation === this.#conversation && this.#subscriptions.size > 0) await this.#join(conversation);
  }

  async #join(conversation: string): Promise<Joined | null> {
    this.#emit({ type: "asking" });
    let joined: Joined | null = null;
    let refusal = "";
    try {
      const answer = await this.#nats?.request(`edge.${conversation}.join`, "", { timeout: requestTimeoutMillis });
      const value = parseJson(answer?.string() ?? "");
      joined = parseJoined(value);
      refusal = sentence(parseRefusal(value) ?? "the server's answer cannot be read");
    } catch (error) {
      refusal = requestWords(error);
    }
    // Another conversation was chosen meanwhile, or there is no connection any more.
    if (conversation !== this.#conversation || this.#nats?.isClosed() !== false) return null;
    if (joined !== null) this.#emit({ type: "joined", joined, at: new Date() });
    else this.#joinFailed(conversation, refusal);
    return joined;
  }

  #joinFailed(conversation: string, reason: string): void {
    // What is subscribed to goes on; one that is no longer allowed says so itself.
    if (this.#subscriptions.size > 0) this.#emit({ type: "notice", title: "Catching up failed", text: reason });
    else this.#emit({ type: "conversation refused", conversation, reason });
  }

  #subscribe(conversation: string, name: string): void {
    if (this.#nats === null || this.#subscriptions.has(name)) return;
    this.#emit({ type: "category", name, on: true });
    const subscription = this.#nats.subscribe(`status.${conversation}.${name}`, {
      callback: (error, message) => {
        if (error !== null) this.#subscriptionFailed(subscription, name, error);
        else this.#delivered(message);
      },
    });
    this.#subscriptions.set(name, subscription);
  }

  #subscriptionFailed(subscription: Subscription, name: string, error: Error): void {
    if (this.#subscriptions.get(name) !== subscription) return;
    this.#subscriptions.delete(name);
    this.#emit({ type: "category refused", name, reason: permissionWords(error.message) });
  }

  #delivered(message: Msg): void {
    const status = parseStatus(message.subject, parseJson(message.string()));
    const seq = parseSequence(message.headers?.get("Nats-Sequence"));
    this.#emit({ type: "delivered", delivered: { seq, subject: message.subject, status }, at: new Date() });
  }

  #unsubscribe(name: string): void {
    this.#subscriptions.get(name)?.unsubscribe();
    this.#subscriptions.delete(name);
    this.#emit({ type: "category", name, on: false });
  }

  #leave(): void {
    for (const subscription of this.#subscriptions.values()) subscription.unsubscribe();
    this.#subscriptions.clear();
    this.#conversation = null;
  }

  async #follow(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      switch (status.type) {
        case "disconnect":
          this.#emit({ type: "link", state: "reconnecting", note: this.#closeReason && sentence(this.#closeReason) });
          break;
        case "reconnecting":
          this.#attempt++;
          break;
        case "reconnect":
          this.#attempt = 1;
          this.#emit({ type: "link", state: "live" });
          void this.#catchUp();
          break;
        case "error":
          this.#errorLine(status.error);
          break;
      }
    }
    const error = await nats.closed();
    const note = error instanceof Error ? connectionWords(error, await this.#options.reach(), this.#closeReason) : "";
    this.#emit({ type: "link", state: "closed", note });
  }

  #errorLine(error: Error): void {
    // A refused subscription or request hears of it by itself, and a refused
    // login ends in a closed connection, which gives the reason.
    const heard = error instanceof errors.PermissionViolationError || error instanceof errors.AuthorizationError;
    if (!heard) this.#emit({ type: "notice", title: "The server reports", text: protocolWords(error.message) });
  }

  #emit(event: Event): void {
    if (!this.#closed) this.#options.emit(event);
  }
}

/** 32 hexadecimal digits; crypto.randomUUID needs HTTPS, this does not. */
function uniqueId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
