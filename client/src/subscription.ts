// A subscription: the recovery rule with its hands. It does what the rule says,
// tells it what came of it, and hands the statuses over.

import type { Msg } from "@nats-io/nats-core";
import { againOf, type Context, type Participant, retryMillis } from "./context.ts";
import { deferred } from "./deferred.ts";
import { ClosedError, RequestError, type StatuswireError } from "./errors.ts";
import { callSafely, type Truncation } from "./events.ts";
import type { Listener } from "./feeds.ts";
import { leavable } from "./iterator.ts";
import { join } from "./join.ts";
import { Queue } from "./queue.ts";
import { type Action, type Event, type Failure, type Item, type Place, Recovery, type TruncationReason } from "./recovery.ts";
import { checkCategories, ownHeaders, parseJson, readStatus, sequenceHeader, type Status, truncatedHeader } from "./status.ts";

export interface SubscribeOptions {
  /** Begin with the last status of each category. Default false: with the next one. */
  readonly snapshot?: boolean;
  /**
   * Begin where another subscription has ended: its `place`, kept over a reload of the page for instance.
   * Null, as JSON has it for what was never kept, is as if left out.
   */
  readonly from?: Place | null;
  /** Called with each status; then the subscription cannot be iterated. It must not take long. */
  readonly onStatus?: (status: Status) => void;
  /** Called when statuses are missing for good, between the one before and the one after them. */
  readonly onTruncated?: (truncation: Truncation) => void;
  /** Called at the end, with an error if it is not the application that wanted it. */
  readonly onEnd?: (error: StatuswireError | undefined) => void;
  /** How many statuses may wait to be taken; what is more is read from the history later. At least 100, default 1000. */
  readonly queue?: number;
  /** Unsubscribes. */
  readonly signal?: AbortSignal;
}

/** Statuses of a conversation: each once, in order within its category, whatever happens to the connection. */
export interface Subscription extends AsyncIterable<Status, void, void>, AsyncDisposable {
  readonly conversation: string;
  /** The categories that were asked for; undefined for all. */
  readonly categories: readonly string[] | undefined;
  /** `live`, or catching up with the stream, or waiting for the connection. */
  readonly state: "live" | "catching up" | "offline" | "ended";
  /** Everything up to here has been handed over: give it as `from` to go on later. */
  readonly place: Place;
  /** Resolves at the end, with an error if it is not the application that wanted it. */
  readonly closed: Promise<StatuswireError | undefined>;
  /** Ends it. What waits to be taken is dropped. */
  unsubscribe(): void;
}

const defaultQueue = 1_000;
const leastQueue = 100;

type Entry =
  | { readonly status: Status }
  | { readonly truncation: Truncation }
  | { readonly known: number; readonly epoch: string | undefined };

export class StatusSubscription implements Subscription, Participant, Listener {
  readonly conversation: string;
  readonly categories: readonly string[] | undefined;
  readonly #context: Context;
  readonly #options: SubscribeOptions;
  readonly #subjects: readonly string[];
  readonly #recovery: Recovery<Status>;
  readonly #queue = new Queue<Entry>();
  readonly #started = deferred<void>();
  readonly #closed = deferred<StatuswireError | undefined>();
  readonly #awaited = new Set<string>(); // subjects whose SUB has not taken effect
  #epoch: string | undefined;
  #after: number;
  readonly #seen: Map<string, number>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #refresher: ReturnType<typeof setTimeout> | undefined;
  #iterated = false;
  #ended = false;

  constructor(context: Context, conversation: string, categories: readonly string[], options: SubscribeOptions) {
    const { snapshot, onStatus, queue = defaultQueue } = options;
    const from = options.from ?? undefined;
    checkCategories(categories);
    if (!(queue >= leastQueue)) throw new RequestError("bad_request", `queue is ${queue}: give a number of at least ${leastQueue}`);
    this.#context = context;
    this.#options = options;
    this.conversation = conversation;
    this.categories = categories.length === 0 ? undefined : [...new Set(categories)];
    this.#subjects = (this.categories ?? ["*"]).map((category) => `status.${conversation}.${category}`);
    this.#epoch = from?.epoch;
    this.#after = from?.after ?? 0;
    this.#seen = new Map(Object.entries(from?.seen ?? {}));
    this.#recovery = new Recovery({
      from,
      snapshot: snapshot ?? false,
      room: onStatus === undefined ? Math.floor(queue) : Infinity,
      ...(this.categories === undefined ? {} : { categories: this.categories }),
    });
  }

  /** Resolves when it has begun; rejects if it ends before. */
  async start(): Promise<this> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#context.participants.add(this);
    this.#refreshLater();
    const { link } = this.#context;
    if (link.state === "closed") this.shut(undefined);
    else if (link.nats !== undefined) this.#handle({ type: "connected" });
    await this.#started.promise;
    return this;
  }

  get state(): Subscription["state"] {
    switch (this.#recovery.phase) {
      case "live":
      case "offline":
      case "ended":
        return this.#recovery.phase;
      default:
        return "catching up";
    }
  }

  get place(): Place {
    return { epoch: this.#epoch, after: this.#after, seen: Object.fromEntries(this.#seen) };
  }

  get closed(): Promise<StatuswireError | undefined> {
    return this.#closed.promise;
  }

  unsubscribe(): void {
    this.#queue.clear();
    this.#handle({ type: "stop" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.unsubscribe();
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Status, void, void> {
    if (this.#options.onStatus !== undefined) throw new RequestError("bad_request", "a subscription with onStatus cannot be iterated");
    if (this.#iterated) throw new RequestError("bad_request", "a subscription can be iterated once: make another one");
    this.#iterated = true;
    return leavable(this.#iterate(), () => this.unsubscribe());
  }

  async *#iterate(): AsyncGenerator<Status, void, void> {
    for (;;) {
      const entry = await this.#queue.take();
      if (entry === undefined) return;
      this.#note(entry);
      if (!("status" in entry)) continue;
      this.#handle({ type: "consumed", count: 1 });
      yield entry.status;
    }
  }

  // Of the connection.

  connected(): void {
    this.#handle({ type: "connected" });
  }

  disconnected(): void {
    this.#awaited.clear();
    this.#handle({ type: "disconnected" });
  }

  shut(error: StatuswireError | undefined): void {
    if (error === undefined) this.#queue.clear();
    this.#handle({ type: "stop", error });
  }

  // Of the feeds.

  ready(subject: string): void {
    if (this.#awaited.delete(subject) && this.#awaited.size === 0) this.#handle({ type: "subscribed" });
  }

  message(message: Msg): void {
    const { subject, headers } = message;
    const sequence = sequenceHeader(headers, "Nats-Sequence");
    const value = readStatus(subject, sequence, parseJson(message.string()), ownHeaders(headers));
    const last = sequenceHeader(headers, "Nats-Last-Sequence");
    const truncated = truncatedHeader(headers);
    this.#handle({ type: "live", live: { category: value.category, sequence, value, last, truncated } });
  }

  refused(_subject: string, error: StatuswireError): void {
    this.#handle({ type: "refused", ...failureOf(error) });
  }

  // Of the rule.

  #handle(event: Event<Status>): void {
    for (const action of this.#recovery.handle(event)) {
      if (this.#ended) return; // the application has ended it meanwhile
      this.#do(action);
    }
  }

  #do(action: Action<Status>): void {
    switch (action.type) {
      case "subscribe":
        for (const subject of this.#subjects) this.#awaited.add(subject);
        for (const subject of this.#subjects) this.#context.feeds.listen(subject, this);
        break;
      case "unsubscribe":
        for (const subject of this.#subjects) this.#context.feeds.leave(subject, this);
        break;
      case "join":
        void this.#join(action.id);
        break;
      case "history":
        void this.#page(action);
        break;
      case "wait":
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#handle({ type: "due", id: action.id }), retryMillis(action.attempt, action.retryAfterMillis));
        break;
      case "deliver":
        this.#deliver(action.item.value);
        break;
      case "truncated":
        this.#inTurn({ truncation: this.#truncation(action.firstSequence, action.reason) });
        break;
      case "known":
        this.#inTurn({ known: action.after, epoch: action.epoch });
        break;
      case "started":
        this.#started.resolve();
        break;
      case "end":
        this.#end(action.error as StatuswireError | undefined);
        break;
    }
  }

  async #join(id: number): Promise<void> {
    const { link, requests } = this.#context;
    if (link.nats === undefined) return; // "disconnected" is on its way
    let event: Event<Status>;
    try {
      const { epoch, snapshot } = await join(requests, link.nats, this.conversation, this.categories);
      event = { type: "joined", id, epoch, upTo: snapshot.upTo, statuses: snapshot.statuses.map(itemOf), truncated: snapshot.truncated };
    } catch (error) {
      event = { type: "failed", id, ...failureOf(error as StatuswireError) };
    }
    this.#handle(event);
  }

  async #page({ id, place, limit }: Extract<Action<Status>, { type: "history" }>): Promise<void> {
    const { link, requests } = this.#context;
    if (link.nats === undefined) return;
    const { conversation, categories } = this;
    let event: Event<Status>;
    try {
      const { parts, ...page } = await requests.page(link.nats, { conversation, categories, place, limit });
      event = { type: "page", id, items: parts.map(({ status, truncated }) => ({ ...itemOf(status), truncated })), ...page };
    } catch (error) {
      event = { type: "failed", id, ...failureOf(error as StatuswireError) };
    }
    this.#handle(event);
  }

  #deliver(status: Status): void {
    const { onStatus } = this.#options;
    if (onStatus === undefined) {
      this.#queue.push({ status });
      return;
    }
    this.#note({ status });
    callSafely(() => onStatus(status));
  }

  /** Has it noted when the consumer has taken what is before it. */
  #inTurn(entry: Entry): void {
    if (this.#queue.isEmpty) this.#note(entry);
    else this.#queue.push(entry);
  }

  #note(entry: Entry): void {
    if ("status" in entry) {
      this.#seen.set(entry.status.category, entry.status.sequence);
    } else if ("known" in entry) {
      this.#epoch = entry.epoch;
      this.#after = entry.known;
      for (const [category, sequence] of this.#seen) if (sequence <= entry.known) this.#seen.delete(category);
    } else {
      const { truncation } = entry;
      if (truncation.reason === "reset") {
        this.#epoch = undefined;
        this.#after = 0;
        this.#seen.clear();
      }
      callSafely(() => this.#options.onTruncated?.(truncation));
      this.#context.events.tell({ type: "truncated", ...truncation });
    }
  }

  #truncation(firstSequence: number, reason: TruncationReason): Truncation {
    return { conversation: this.conversation, firstSequence, reason };
  }

  #end(error: StatuswireError | undefined): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#refresher);
    const { signal, onEnd } = this.#options;
    signal?.removeEventListener("abort", this.#abort);
    this.#context.participants.delete(this);
    this.#queue.end(error);
    const reason: unknown = signal?.aborted === true ? signal.reason : error;
    this.#started.reject(reason ?? new ClosedError("the subscription was ended before it had begun"));
    this.#closed.resolve(error);
    callSafely(() => onEnd?.(error));
  }

  readonly #abort = (): void => this.unsubscribe();

  #refreshLater(): void {
    const millis = this.#context.settings.refreshIntervalMillis * (0.9 + Math.random() / 5);
    this.#refresher = setTimeout(() => {
      this.#handle({ type: "refresh" });
      if (!this.#ended) this.#refreshLater();
    }, millis);
  }
}

const itemOf = (status: Status): Item<Status> => ({ category: status.category, sequence: status.sequence, value: status });

function failureOf(error: StatuswireError): Failure {
  return { error, again: againOf(error), ahead: error.kind === "ahead_of_stream", retryAfterMillis: error.retryAfterMillis };
}
