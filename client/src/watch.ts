// Who is present, kept up to date: the roster with its hands.

import type { Msg } from "@nats-io/nats-core";
import { againOf, type Context, type Participant, retryMillis } from "./context.ts";
import { deferred } from "./deferred.ts";
import { ClosedError, type StatuswireError } from "./errors.ts";
import { callSafely } from "./events.ts";
import type { Listener } from "./feeds.ts";
import { leavable } from "./iterator.ts";
import { difference, type Member, readChange, readMembers, Roster } from "./presence.ts";
import { isObject, parseJson } from "./status.ts";

/** The list as it is, and what is new in it. */
export interface PresenceChange {
  /** In the order of arrival. */
  readonly members: readonly Member[];
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
}

export interface PresenceOptions {
  /** Called with each change. */
  readonly onChange?: (change: PresenceChange) => void;
  /** Called at the end, with an error if it is not the application that wanted it. */
  readonly onEnd?: (error: StatuswireError | undefined) => void;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/**
 * Who is present in a conversation. Iterating gives the list at once and then
 * whenever it has changed; who is slow misses steps between, and has the list as
 * it is in the end.
 */
export interface Presence extends AsyncIterable<PresenceChange, void, void>, AsyncDisposable {
  readonly conversation: string;
  readonly members: readonly Member[];
  /** There are more than the server has named. */
  readonly truncated: boolean;
  /** Resolves at the end, with an error if it is not the application that wanted it. */
  readonly closed: Promise<StatuswireError | undefined>;
  unsubscribe(): void;
}

export class PresenceWatch implements Presence, Participant, Listener {
  readonly conversation: string;
  readonly #context: Context;
  readonly #options: PresenceOptions;
  readonly #subject: string;
  readonly #roster = new Roster();
  readonly #started = deferred<void>();
  readonly #closed = deferred<StatuswireError | undefined>();
  #told: readonly Member[] = []; // to onChange
  #changed = deferred<void>();
  #isReady = false;
  #hasList = false;
  #asking = false;
  #askAgain = false;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended: { readonly error: StatuswireError | undefined } | undefined;

  constructor(context: Context, conversation: string, options: PresenceOptions) {
    this.#context = context;
    this.#options = options;
    this.conversation = conversation;
    this.#subject = `presence.${conversation}`;
  }

  /** Resolves when there is a list; rejects if it ends before. */
  async start(): Promise<this> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#context.participants.add(this);
    if (this.#context.link.state === "closed") this.shut(undefined);
    else this.connected();
    await this.#started.promise;
    return this;
  }

  get members(): readonly Member[] {
    return this.#roster.members;
  }

  get truncated(): boolean {
    return this.#roster.truncated;
  }

  get closed(): Promise<StatuswireError | undefined> {
    return this.#closed.promise;
  }

  unsubscribe(): void {
    this.#end(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.unsubscribe();
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<PresenceChange, void, void> {
    return leavable(this.#iterate(), () => this.unsubscribe());
  }

  async *#iterate(): AsyncGenerator<PresenceChange, void, void> {
    let before: readonly Member[] = [];
    for (;;) {
      const changed = this.#changed.promise;
      if (this.#ended?.error !== undefined) throw this.#ended.error;
      if (this.#ended !== undefined) return;
      const members = this.members;
      yield { members, ...difference(before, members) };
      before = members;
      await changed;
    }
  }

  // Of the connection.

  connected(): void {
    this.#context.feeds.listen(this.#subject, this);
  }

  disconnected(): void {
    this.#isReady = false;
    this.#attempt = 0;
    this.#roster.interrupted();
  }

  shut(error: StatuswireError | undefined): void {
    this.#end(error);
  }

  // Of the feed.

  ready(): void {
    this.#isReady = true;
    void this.#ask();
  }

  message(message: Msg): void {
    const change = readChange(parseJson(message.string()));
    if (change === undefined) return;
    if (this.#roster.changed(change)) void this.#ask();
    this.#tell();
  }

  refused(_subject: string, error: StatuswireError): void {
    this.#isReady = false;
    this.#retry(error, () => this.connected());
  }

  /** Asks for the whole list; once more if that is wanted while it is on its way. */
  async #ask(): Promise<void> {
    this.#askAgain = true;
    if (this.#asking) return;
    this.#asking = true;
    try {
      while (this.#askAgain && this.#isReady && this.#ended === undefined) {
        this.#askAgain = false;
        await this.#askOnce();
      }
    } finally {
      this.#asking = false;
    }
  }

  async #askOnce(): Promise<void> {
    const { link, requests } = this.#context;
    const { nats } = link;
    if (nats === undefined) return;
    this.#roster.asked();
    try {
      const answer = await requests.json(nats, `edge.${this.conversation}.presence`);
      if (nats !== link.nats || this.#ended !== undefined) return;
      const { members, truncated } = isObject(answer) ? answer : {};
      this.#roster.answered(readMembers(members), truncated === true);
      this.#attempt = 0;
      this.#hasList = true;
      this.#started.resolve();
      this.#tell();
    } catch (error) {
      // Refused meanwhile, it is asked for when it is subscribed to again.
      if (nats === link.nats && this.#isReady) this.#retry(error as StatuswireError, () => void this.#ask());
    }
  }

  #retry(error: StatuswireError, again: () => void): void {
    if (this.#ended !== undefined) return;
    const how = againOf(error);
    if (how === "never" || (how === "restoring" && !this.#hasList)) {
      this.#end(error);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ended ?? again(), retryMillis(this.#attempt++, error.retryAfterMillis));
  }

  #tell(): void {
    if (!this.#hasList || this.#ended !== undefined) return;
    const { members } = this;
    if (isSame(members, this.#told) && members.length > 0) return;
    const change = { members, ...difference(this.#told, members) };
    this.#told = members;
    this.#changed.resolve();
    this.#changed = deferred();
    callSafely(() => this.#options.onChange?.(change));
  }

  #end(error: StatuswireError | undefined): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    clearTimeout(this.#timer);
    const { signal, onEnd } = this.#options;
    signal?.removeEventListener("abort", this.#abort);
    this.#context.participants.delete(this);
    this.#context.feeds.leave(this.#subject, this);
    const reason: unknown = signal?.aborted === true ? signal.reason : error;
    this.#started.reject(reason ?? new ClosedError("it was ended before there was a list"));
    this.#changed.resolve();
    this.#closed.resolve(error);
    callSafely(() => onEnd?.(error));
  }

  readonly #abort = (): void => this.unsubscribe();
}

function isSame(a: readonly Member[], b: readonly Member[]): boolean {
  return a.length === b.length && a.every(({ user, connections }, i) => user === b[i]?.user && connections === b[i].connections);
}
