// Hands in a fresh token before the old one ends, so that the connection stays.
//
// Times are of this machine's clock, which may be hours off. So the server says for
// how long a login holds; what a token says itself is believed only until then.

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

/** A login as it holds now. */
interface Login {
  /** By the server's clock. */
  readonly expires: Date | undefined;
  /** By ours. */
  readonly ends: number | undefined;
}

export class Renewal implements Attached {
  readonly #settings: Settings;
  readonly #requests: Requests;
  readonly #events: Listeners<ClientEvent>;
  readonly #ending: AbortSignal;
  #nats: NatsConnection | undefined;
  #token = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: Settings, requests: Requests, events: Listeners<ClientEvent>, ending: AbortSignal) {
    this.#settings = settings;
    this.#requests = requests;
    this.#events = events;
    this.#ending = ending;
  }

  connected(nats: NatsConnection, token: string | undefined): void {
    const { tokenIsFixed } = this.#settings;
    if (tokenIsFixed || token === undefined) return; // there will be no other
    this.#nats = nats;
    this.#token = token;
    const ends = expiryOf(token);
    const left = ends === undefined ? Infinity : ends - Date.now();
    // One that has none left has just been accepted: it is the clock that is wrong.
    if (ends !== undefined && left > 0 && left < 10 * learnAfterMillis) this.#renewBefore(ends);
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
      ends = (await this.#handIn(nats, this.#token)).ends ?? ends;
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
      const fresh = await askToken(token, this.#ending);
      if (nats !== this.#nats) return;
      if (fresh === this.#token) {
        this.#retry(ends);
        return;
      }
      const next = await this.#handIn(nats, fresh);
      if (nats !== this.#nats) return;
      this.#token = fresh;
      this.#events.tell({ type: "token", expires: next.expires });
      if (next.ends !== undefined) this.#renewBefore(next.ends);
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

  async #handIn(nats: NatsConnection, token: string): Promise<Login> {
    const asked = Date.now();
    const answer = await this.#requests.json(nats, "gateway.token", token);
    const { expires, expires_in } = isObject(answer) ? answer : {};
    return {
      expires: typeof expires === "string" ? new Date(expires) : undefined,
      ends: typeof expires_in === "number" ? asked + expires_in * 1_000 : undefined,
    };
  }
}
