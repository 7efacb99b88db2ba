// The client, and the conversations that it gives.

import { ask, type Context, type Participant, whileOpen } from "./context.ts";
import { RequestError, type StatuswireError } from "./errors.ts";
import { type ClientEvent, type ClientState, Listeners } from "./events.ts";
import { Feeds } from "./feeds.ts";
import { type HistoryOptions, readHistory } from "./history.ts";
import { join, type Welcome } from "./join.ts";
import { type Attached, Link } from "./link.ts";
import { type ConnectOptions, settingsOf } from "./options.ts";
import { Pacer } from "./pacer.ts";
import { Renewal } from "./renewal.ts";
import { Requests } from "./request.ts";
import { isConversationId, isObject, type Status } from "./status.ts";
import { StatusSubscription, type SubscribeOptions, type Subscription } from "./subscription.ts";
import { type Presence, type PresenceOptions, PresenceWatch } from "./watch.ts";

/** What the connection has on the server, and what is left of its limits. */
export interface Usage {
  readonly subscriptions: readonly { readonly subject: string; readonly delivered: number }[];
  /** By the name of the setting; -1 for no limit. */
  readonly limits: Readonly<Record<string, { readonly limit: number; readonly used: number; readonly left: number }>>;
}

/** A connection to Statuswire that comes back by itself. */
export class Client implements AsyncDisposable {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  get state(): ClientState {
    return this.#context.link.state;
  }

  /** Resolves at the end: with nothing after `close()`, with the reason when the client gave up. */
  get closed(): Promise<StatuswireError | undefined> {
    return this.#context.link.closed;
  }

  /** Calls the listener with each event; answers what takes it away again. */
  on(listener: (event: ClientEvent) => void): () => void {
    return this.#context.events.add(listener);
  }

  /** A conversation by its id. Nothing is sent yet. */
  conversation(id: string): Conversation {
    if (!isConversationId(id)) throw new RequestError("bad_conversation", `${JSON.stringify(id)} is no conversation: 1 to 128 of A-Z, a-z, 0-9, _ and -`);
    return new Conversation(this.#context, id);
  }

  /** Asks the server what this connection is subscribed to, and what is left of its limits. */
  async subscriptions(): Promise<Usage> {
    const answer = await ask(this.#context, "gateway.subscriptions");
    const { subscriptions, limits } = isObject(answer) ? answer : {};
    return {
      subscriptions: Array.isArray(subscriptions) ? (subscriptions as Usage["subscriptions"]) : [],
      limits: isObject(limits) ? (limits as Usage["limits"]) : {},
    };
  }

  /**
   * Looks whether the connection still lives, and opens another one if it does
   * not; answers whether it did. In a browser that happens by itself when the page
   * is shown again or the network comes back.
   */
  probe(): Promise<boolean> {
    return this.#context.link.probe();
  }

  /** Ends it and all that lives on it. Twice is fine. */
  async close(): Promise<void> {
    this.#context.link.close();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A conversation, by its id. */
export class Conversation {
  readonly #context: Context;
  readonly id: string;

  /** @internal */
  constructor(context: Context, id: string) {
    this.#context = context;
    this.id = id;
  }

  /**
   * Subscribes to statuses, of the categories named or of all. Resolves when it
   * has begun: what is published from then on comes. Rejects when the server
   * refuses it, and waits while there is no connection.
   */
  subscribe(options?: SubscribeOptions): Promise<Subscription>;
  subscribe(categories?: readonly string[], options?: SubscribeOptions): Promise<Subscription>;
  async subscribe(first?: readonly string[] | SubscribeOptions, second?: SubscribeOptions): Promise<Subscription> {
    const [categories, options] = isList(first) ? [first, second] : [[], first ?? second];
    return new StatusSubscription(this.#context, this.id, categories, options ?? {}).start();
  }

  /** What was published, in order; read page by page as it is taken. */
  history(options: HistoryOptions = {}): AsyncIterableIterator<Status, void, void> {
    return readHistory(this.#context, this.id, options);
  }

  /** Who is present, kept up to date. Resolves when there is a list. */
  async presence(options: PresenceOptions = {}): Promise<Presence> {
    return new PresenceWatch(this.#context, this.id, options).start();
  }

  /** Asks once: categories, limits, who is present, and the last status of each category. */
  async join(): Promise<Welcome> {
    return whileOpen(this.#context, (nats) => join(this.#context.requests, nats, this.id));
  }
}

const isList = (value: readonly string[] | SubscribeOptions | undefined): value is readonly string[] => Array.isArray(value);

/**
 * Connects to Statuswire. Rejects with an AuthenticationError when the token is
 * refused, and with a RequestError for options that make no sense; a server that
 * is not there is waited for.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { onEvent, signal } = options;
  signal?.throwIfAborted();
  const settings = settingsOf(options);
  const events = new Listeners<ClientEvent>();
  if (onEvent !== undefined) events.add(onEvent);
  const pacer = new Pacer();
  const link = new Link(settings, events);
  const feeds = new Feeds(pacer);
  const requests = new Requests(pacer, settings.timeoutMillis);
  const participants = new Set<Participant>();
  link.attach(crowd(feeds, participants));
  link.attach(new Renewal(settings, requests, events, link.ending));
  const abort = (): void => link.close();
  signal?.addEventListener("abort", abort, { once: true });
  link.start();
  try {
    await link.opened;
    signal?.throwIfAborted(); // by who was told of it
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  return new Client({ settings, link, feeds, requests, events, participants });
}

/** The feeds first: then they know the connection when the others use them. */
function crowd(feeds: Feeds, participants: ReadonlySet<Participant>): Attached {
  return {
    connected(nats) {
      feeds.connected(nats);
      for (const participant of [...participants]) participant.connected();
    },
    disconnected() {
      feeds.disconnected();
      for (const participant of [...participants]) participant.disconnected();
    },
    shut(error) {
      feeds.disconnected();
      for (const participant of [...participants]) participant.shut(error);
    },
  };
}
