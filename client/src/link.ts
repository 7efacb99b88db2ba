// Keeps a connection: opens it, notices when it is gone, opens the next one.
//
// Each socket is a connection of nats-core of its own, with nats-core's
// reconnecting switched off. So each attempt has a fresh token and each end its
// reason, a socket that does not answer is left behind at once instead of being
// closed politely, requests fail when their socket does, and nothing that was
// written for one socket goes out on the next.

import { AuthorizationError, type NatsConnection, PermissionViolationError, wsconnect } from "@nats-io/nats-core";
import { backoffMillis } from "./backoff.ts";
import { type Deferred, deferred, unlessAborted, within } from "./deferred.ts";
import { AuthenticationError, ClosedError, ConnectionError, RequestError, StatuswireError, UnavailableError } from "./errors.ts";
import { type ClientEvent, type ClientState, type Listeners } from "./events.ts";
import type { Settings } from "./options.ts";
import { closeError, loginError } from "./refusal.ts";
import { Socket } from "./socket.ts";
import { onWake } from "./wake.ts";

/** Who has something to do when the connection comes and goes. */
export interface Attached {
  /** There is one, opened with this token. */
  connected(nats: NatsConnection, token: string | undefined): void;
  disconnected(): void;
  /** There will be none any more: the application has closed the client, or it gave up. */
  shut(error: StatuswireError | undefined): void;
}

interface Open {
  readonly nats: NatsConnection;
  readonly socket: Socket;
  readonly ended: Promise<StatuswireError>;
}

/** A login that the server has refused for good. */
class Refused {
  readonly error: StatuswireError;

  constructor(error: StatuswireError) {
    this.error = error;
  }
}

/** A connection that lasted so long was a good one: the next wait is short again. */
const steadyMillis = 10_000;
/** A page that wakes up does not wait for the next attempt, but leaves so much between two. */
const hurryMillis = 1_000;
/** How long a page that wakes up waits for an answer. */
const wakeTimeoutMillis = 4_000;
/** How long the application may take to get a token. */
const tokenTimeoutMillis = 60_000;
/** nats-core's own pings would take a minute to notice anything: these are not used. */
const neverMillis = 2 ** 31 - 1;

export class Link {
  readonly #settings: Settings;
  readonly #events: Listeners<ClientEvent>;
  readonly #attached: Attached[] = [];
  readonly #opened = deferred<void>();
  readonly #closed = deferred<StatuswireError | undefined>();
  readonly #ending = new AbortController();
  readonly #waiting: Deferred<NatsConnection>[] = [];
  #state: ClientState = "connecting";
  #open: Open | undefined;
  #dialing: Socket | undefined;
  #probing: { readonly open: Open; readonly alive: Promise<boolean> } | undefined;
  #pinger: ReturnType<typeof setTimeout> | undefined;
  #endPing = (): void => {};
  #hurry = (): void => {};
  #endWait = (): void => {};
  #endWake = (): void => {};

  constructor(settings: Settings, events: Listeners<ClientEvent>) {
    this.#settings = settings;
    this.#events = events;
  }

  get state(): ClientState {
    return this.#state;
  }

  /** The connection, if there is one just now. */
  get nats(): NatsConnection | undefined {
    return this.#open?.nats;
  }

  /** Resolves at the first connection; rejects if it never comes to that. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  get closed(): Promise<StatuswireError | undefined> {
    return this.#closed.promise;
  }

  /** Goes off at the end, with its reason: who waits often waits by this, as each wait by a promise stays with it. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Waits for the next connection. */
  async next(timeoutMillis: number, signal?: AbortSignal): Promise<NatsConnection> {
    const waiting = deferred<NatsConnection>();
    this.#waiting.push(waiting);
    try {
      const late = (): Error => new ConnectionError("connection_lost", `there was no connection for ${timeoutMillis} ms`);
      return await within(unlessAborted(waiting.promise, signal), timeoutMillis, late);
    } finally {
      const i = this.#waiting.indexOf(waiting);
      if (i >= 0) this.#waiting.splice(i, 1);
    }
  }

  /** Told in the order of attaching. */
  attach(attached: Attached): void {
    this.#attached.push(attached);
  }

  start(): void {
    this.#endWake = onWake(() => void this.probe());
    void this.#run();
  }

  /** Asks the server for a sign of life, and opens another connection if none comes. False if there is none. */
  probe(timeoutMillis = wakeTimeoutMillis): Promise<boolean> {
    this.#hurry();
    const open = this.#open;
    if (open === undefined) return Promise.resolve(false);
    // One that waits for the connection before says nothing of this one.
    if (this.#probing?.open !== open) this.#probing = { open, alive: this.#ping(open, timeoutMillis) };
    const { alive } = this.#probing;
    void alive.then(() => {
      if (this.#probing?.alive === alive) this.#probing = undefined;
    });
    return alive;
  }

  /** Ends it for good: with an error when it is not the application that wants it. */
  close(error?: StatuswireError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#pinger);
    this.#endWake();
    this.#endWait();
    this.#dialing?.abandon("the client was closed");
    void this.#open?.nats.close();
    this.#open = undefined;
    for (const attached of this.#attached) attached.shut(error);
    const reason = error ?? new ClosedError("the client was closed");
    for (const waiting of this.#waiting.splice(0)) waiting.reject(reason);
    this.#opened.reject(error ?? new ClosedError("the client was closed before it had connected"));
    this.#events.tell({ type: "closed", error });
    this.#ending.abort(reason);
    this.#closed.resolve(error);
  }

  async #run(): Promise<void> {
    const { urls, tokenIsFixed, waitOnFirstConnect } = this.#settings;
    let attempt = 0;
    let refusals = 0; // of the login, in a row
    for (let turn = 0; this.#state !== "closed"; turn++) {
      const began = performance.now();
      let failure: StatuswireError;
      try {
        const token = await this.#askToken();
        if (this.#isClosed()) return;
        const open = await this.#dial(urls[turn % urls.length] as string, token);
        refusals = 0;
        this.#up(open, token);
        failure = await open.ended;
        this.#endPing(); // a flush of a connection that has ended never comes back
        this.#down(failure);
        if (performance.now() - began >= steadyMillis) attempt = 0;
      } catch (error) {
        // The application may have handed out a token that had just ended: once more.
        if (error instanceof Refused && (tokenIsFixed || ++refusals === 2)) {
          this.close(error.error);
          return;
        }
        failure = error instanceof Refused ? error.error : (error as StatuswireError);
      }
      if (this.#isClosed()) return;
      if (failure instanceof RequestError || (this.#state === "connecting" && !waitOnFirstConnect)) {
        this.close(failure);
        return;
      }
      await this.#wait(began, attempt++, failure);
    }
  }

  /** The state, for where the compiler believes that it cannot have changed. */
  #isClosed(): boolean {
    return this.#state === "closed";
  }

  async #askToken(): Promise<string | undefined> {
    const { token } = this.#settings;
    return token === undefined ? undefined : askToken(token, this.ending);
  }

  async #dial(url: string, token: string | undefined): Promise<Open> {
    let socket: Socket;
    try {
      socket = new Socket(this.#settings.open(url));
    } catch (cause) {
      throw new RequestError("bad_request", `this page cannot open ${url}: ${messageOf(cause)}`, { cause });
    }
    this.#dialing = socket;
    try {
      const nats = await wsconnect({
        servers: url,
        name: this.#settings.name,
        reconnect: false,
        timeout: this.#settings.timeoutMillis,
        pingInterval: neverMillis,
        noAsyncTraces: true,
        wsFactory: () => Promise.resolve({ socket: socket as unknown as WebSocket, encrypted: url.startsWith("wss:") }),
        ...(token === undefined ? {} : { token }),
      });
      return { nats, socket, ended: this.#watch(nats, socket) };
    } catch (error) {
      const { opened, ended } = socket;
      socket.abandon("the login failed");
      if (error instanceof AuthorizationError) throw new Refused(loginError(error.message, error));
      if (!opened) {
        const why = "there is no server, it is overloaded, or it does not allow this page's origin";
        throw new ConnectionError("connect_failed", `cannot connect to ${url}: ${why}`, { cause: error });
      }
      if (ended !== undefined) throw closeError(ended.code, ended.reason);
      throw new UnavailableError("timeout", `${url} did not answer within ${this.#settings.timeoutMillis} ms`, { cause: error });
    } finally {
      this.#dialing = undefined;
    }
  }

  /** Waits for the end of a connection; answers why. */
  async #watch(nats: NatsConnection, socket: Socket): Promise<StatuswireError> {
    let line = "";
    void (async () => {
      for await (const status of nats.status()) {
        if (status.type === "error" && !(status.error instanceof PermissionViolationError)) line = status.error.message;
      }
    })();
    const error = await nats.closed();
    const { code, reason } = socket.ended ?? { code: 0, reason: "" };
    return closeError(code, reason || (error instanceof Error ? error.message : ""), line);
  }

  #up(open: Open, token: string | undefined): void {
    if (this.#isClosed()) {
      open.socket.abandon("the client was closed");
      return;
    }
    const again = this.#state === "reconnecting";
    this.#open = open;
    this.#state = "connected";
    this.#pingLater(open);
    for (const attached of this.#attached) attached.connected(open.nats, token);
    for (const waiting of this.#waiting.splice(0)) waiting.resolve(open.nats);
    this.#opened.resolve();
    this.#events.tell({ type: "connected", again });
  }

  #down(error: StatuswireError): void {
    if (this.#isClosed()) return;
    clearTimeout(this.#pinger);
    this.#open = undefined;
    this.#state = "reconnecting";
    for (const attached of this.#attached) attached.disconnected();
    this.#events.tell({ type: "disconnected", error });
  }

  async #wait(began: number, attempt: number, error: StatuswireError): Promise<void> {
    const least = error.retryAfterMillis ?? 0;
    const delayMillis = Math.round(least + backoffMillis(this.#settings.reconnect, attempt, Math.random()));
    const { promise, resolve } = deferred<void>();
    let timer = setTimeout(resolve, delayMillis);
    this.#endWait = () => resolve();
    this.#hurry = () => {
      if (least > 0) return; // the server wants to be left alone
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.max(0, began + hurryMillis - performance.now()));
    };
    this.#events.tell({ type: "reconnecting", attempt: attempt + 1, delayMillis, error });
    await promise;
    clearTimeout(timer);
    this.#endWait = this.#hurry = () => {};
  }

  /** A timer that is late, because the machine slept, asks at once when it wakes up. */
  #pingLater(open: Open): void {
    this.#pinger = setTimeout(() => {
      void this.probe(this.#settings.timeoutMillis).then((alive) => {
        if (alive && this.#open === open) this.#pingLater(open);
      });
    }, this.#settings.pingIntervalMillis);
  }

  async #ping(open: Open, timeoutMillis: number): Promise<boolean> {
    const { promise, resolve, reject } = deferred<boolean>();
    this.#endPing = () => resolve(false);
    open.nats.flush().then(() => resolve(true), reject);
    try {
      return await within(promise, timeoutMillis, () => new Error("late"));
    } catch {
      open.socket.abandon("no answer to a ping");
      return false;
    }
  }
}

/** Asks the application for a token; every failure is an AuthenticationError that may pass, and so is `ending`. */
export async function askToken(ask: () => string | Promise<string>, ending: AbortSignal): Promise<string> {
  let token: unknown;
  try {
    const late = (): Error => new Error(`none came within ${tokenTimeoutMillis} ms`);
    token = await within(unlessAborted(Promise.resolve().then(ask), ending), tokenTimeoutMillis, late);
  } catch (cause) {
    throw new AuthenticationError("token_unavailable", `there is no token: ${messageOf(cause)}`, { cause, retryable: true });
  }
  if (typeof token === "string" && token !== "") return token;
  throw new AuthenticationError("token_unavailable", "there is no token: the function gave an empty one", { retryable: true });
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
