// Hands in a fresh token before the old one ends, so that the connection stays.

import type { NatsConnection } from "@nats-io/nats-core";
import type { StatuswireError } from "./errors.ts";
import type { ClientEvent, Listeners } from "./events.ts";
import { type Attached, askToken } from "./link.ts";
import type { Settings } from "./options.ts";
import type { Requests } from "./request.ts";
import { isObject } from "./status.ts";
import { expiryOf, renewInMillis, retryInMillis } from "./token.ts";

/**
 * When the server is asked how long the login holds: not at once, so that the
 * clients of a restarted server catch up first. A login may end before its token.
 */
const learnAfterMillis = 2_000;

export class Renewal implements Attached {
  readonly #settings: Settings;
  readonly #requests: Requests;
  readonly #events: Listeners<ClientEvent>;
  #nats: NatsConnection | undefined;
  #token = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: Settings, requests: Requests, events: Listeners<ClientEvent>) {
    this.#settings = settings;
    this.#requests = requests;
    this.#events = events;
  }

  connected(nats: NatsConnection, token: string | undefined): void {
    const { tokenIsFixed } = this.#settings;
    if (tokenIsFixed || token === undefined) return; // there will be no other
    this.#nats = nats;
    this.#token = token;
    const ends = expiryOf(token);
    if (ends !== undefined && ends - Date.now() < 10 * learnAfterMillis) this.#renewBefore(ends);
    else this.#later(learnAfterMillis * (1 + 2 * Math.random()), () => this.#learn(ends));
  }

  disconnected(): void {
    this.#nats = undefined;
    clearTimeout(this.#timer);
  }

  shut(): void {
    this.disconnected();
  }

  #later(millis: number, then: () => Promise<void>): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void then(), millis);
  }

  /** Asks when the login ends, by handing in its own token once more. */
  async #learn(tokenEnds: number | undefined): Promise<void> {
    const nats = this.#nats;
    if (nats === undefined) return;
    let ends = tokenEnds;
    try {
      ends = (await this.#handIn(nats, this.#token)) ?? ends;
    } catch {
      // Then what the token says has to do; and without that, the reconnect.
    }
    if (nats === this.#nats && ends !== undefined) this.#renewBefore(ends);
  }

  #renewBefore(ends: number): void {
    this.#later(renewInMillis(ends - Date.now(), Math.random()), () => this.#renew(ends));
  }

  async #renew(ends: number): Promise<void> {
    const nats = this.#nats;
    const { token } = this.#settings;
    if (nats === undefined || token === undefined) return;
    try {
      const fresh = await askToken(token);
      if (nats !== this.#nats) return;
      if (fresh === this.#token) {
        this.#retry(ends);
        return;
      }
      const next = await this.#handIn(nats, fresh);
      if (nats !== this.#nats) return;
      this.#token = fresh;
      this.#events.tell({ type: "token", expires: next === undefined ? undefined : new Date(next) });
      if (next !== undefined) this.#renewBefore(next);
    } catch (error) {
      if (nats !== this.#nats) return;
      this.#events.tell({ type: "token failed", error: error as StatuswireError });
      this.#retry(ends);
    }
  }

  #retry(ends: number): void {
    const left = ends - Date.now();
    if (left <= 0) return; // the server closes the connection, and the next one has a fresh token
    this.#later(retryInMillis(left, Math.random()), () => this.#renew(ends));
  }

  /** Answers until when the login holds now. */
  async #handIn(nats: NatsConnection, token: string): Promise<number | undefined> {
    const answer = await this.#requests.json(nats, "gateway.token", token);
    const expires = Date.parse(isObject(answer) && typeof answer.expires === "string" ? answer.expires : "");
    return Number.isNaN(expires) ? undefined : expires;
  }
}
