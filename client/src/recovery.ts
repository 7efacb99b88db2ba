// The rule by which a subscription has every status exactly once and in order.
// Pure: events in, actions out; no socket, no clock, no chance.
//
//   offline ──connected──▶ subscribing ──subscribed──▶ joining │ replaying ──▶ live
//      ▲                       ▲                            │      ▲  ▲           │
//      └──── disconnected ──── (from everywhere)            └──────┘  │      a hole, or
//                                                           paused ───┘    a refresh: replaying
//
// The *place* says how far everything is known: `after` for all categories, and
// what came live since for single ones. It moves in two ways only: by a live
// status whose predecessor is known, and by a whole page of the history. So a
// page that breaks off leaves nothing behind, and what retention has dropped is
// reported before what follows it, once.
//
// An *epoch* names the stream that the place is of. When the server's data was
// reset there is another stream, whose sequences begin anew and may well be above
// the place: so every question for the history says the epoch, the server refuses
// another one's place, and everything begins from nothing.
//
// While a page is asked for, live statuses are held. There is room for a bounded
// number; when it does not do, they are thrown away, and the history is read on
// until it has them. A consumer that is too slow is treated in the same way:
// nothing is held for it, and it goes on from the history when it has room.

/** How far everything is known. */
export interface Place {
  /** The stream that the sequences are of. Without it, it is not checked. */
  readonly epoch?: string | undefined;
  /** Everything up to this sequence of the stream. */
  readonly after: number;
  /** Category → a later sequence, for single categories. */
  readonly seen: Readonly<Record<string, number>>;
}

/** One status; the machine does not look into the value. */
export interface Item<T> {
  readonly category: string;
  readonly sequence: number;
  readonly value: T;
  /** First sequence that can be had, when the server says that statuses before this one are gone. */
  readonly truncated?: number | undefined;
}

/** A live status. */
export interface Live<T> extends Item<T> {
  /** Sequence of the status before it in its category, if that was still stored; else 0. */
  readonly last: number;
}

export type Origin = "snapshot" | "replay" | "live";

/**
 * Why statuses are missing: retention dropped them, the server's data was reset,
 * or the snapshot of a join was too large for one answer.
 */
export type TruncationReason = "retention" | "reset" | "snapshot";

/** Whether asking again may help: always, only for what was there before, or never. */
export type Again = "always" | "restoring" | "never";

export interface Failure {
  readonly error: Error;
  readonly again: Again;
  /** The place lies beyond the end of the stream, or is another stream's. */
  readonly ahead?: boolean;
  readonly retryAfterMillis?: number | undefined;
}

export type Event<T> =
  | { readonly type: "connected" }
  | { readonly type: "disconnected" }
  /** All of the subjects are subscribed to: from here on everything arrives live. */
  | { readonly type: "subscribed" }
  /** The server has refused or ended a subject. */
  | ({ readonly type: "refused" } & Failure)
  | { readonly type: "live"; readonly live: Live<T> }
  | {
      readonly type: "joined";
      readonly id: number;
      readonly epoch?: string | undefined;
      readonly upTo: number;
      readonly statuses: readonly Item<T>[];
      readonly truncated: boolean;
    }
  | {
      readonly type: "page";
      readonly id: number;
      readonly epoch?: string | undefined;
      /** In the order of the stream. */
      readonly items: readonly Item<T>[];
      readonly nextAfter: number;
      readonly more: boolean;
      /** First sequence that can be had, when some of what was asked for are gone. */
      readonly truncated?: number | undefined;
    }
  /** A join or a page came to nothing. */
  | ({ readonly type: "failed"; readonly id: number } & Failure)
  /** The time of a `wait` is over. */
  | { readonly type: "due"; readonly id: number }
  /** The consumer has taken so many of what was delivered. */
  | { readonly type: "consumed"; readonly count: number }
  /** It was quiet for long: see to it that the place does not grow old. */
  | { readonly type: "refresh" }
  /** Nothing more is wanted, or nothing more will come. */
  | { readonly type: "stop"; readonly error?: Error | undefined };

export type Action<T> =
  /** Subscribe to the subjects that are not yet; answer with `subscribed`. */
  | { readonly type: "subscribe" }
  | { readonly type: "unsubscribe" }
  | { readonly type: "join"; readonly id: number }
  | { readonly type: "history"; readonly id: number; readonly place: Place; readonly limit: number }
  /** Answer with `due`, later the higher the attempt. */
  | { readonly type: "wait"; readonly id: number; readonly attempt: number; readonly retryAfterMillis?: number | undefined }
  | { readonly type: "deliver"; readonly item: Item<T>; readonly origin: Origin }
  /** Something between the last delivery and the next one is missing. */
  | { readonly type: "truncated"; readonly firstSequence: number; readonly reason: TruncationReason }
  /** Everything up to this sequence has been delivered. */
  | { readonly type: "known"; readonly after: number; readonly epoch: string | undefined }
  /** The subscription has begun. Once. */
  | { readonly type: "started" }
  /** It has ended, by itself when there is an error. Once, and the last action. */
  | { readonly type: "end"; readonly error?: Error };

export interface RecoveryOptions {
  /** Where to begin; else at now. */
  readonly from?: Place | undefined;
  /** Deliver the last status of each category first. */
  readonly snapshot?: boolean;
  /** The only categories that are wanted; none means all. Live statuses of others are not expected. */
  readonly categories?: readonly string[];
  /** How many delivered statuses may wait for the consumer; Infinity if it never lets one wait. */
  readonly room?: number;
  /** How many live statuses are held meanwhile. */
  readonly hold?: number;
  /** How many statuses to ask for at once. */
  readonly page?: number;
}

const defaultHold = 1_000;
const defaultPage = 1_000;

/**
 * How often in a row the server must say that it does not have the place before it
 * is believed: the answer of a server that lags behind the others looks the same.
 */
const aheadBelieved = 3;

type Phase =
  | "offline"
  | "subscribing" // SUBs are on their way
  | "joining" // held: the answer to a join is on its way
  | "replaying" // held: a page is on its way
  | "waiting" // held: a failure is to be tried again
  | "live"
  | "paused" // thrown away: the consumer has no room
  | "ended";

export class Recovery<T> {
  readonly #snapshot: boolean;
  readonly #wanted: ReadonlySet<string> | null;
  readonly #capacity: number;
  readonly #holdLimit: number;
  readonly #page: number;

  #phase: Phase = "offline";
  #epoch: string | undefined; // of #after and #seen
  #after = 0;
  readonly #seen = new Map<string, number>();
  #placed: boolean; // #after and #seen say something
  #room: number;
  #held: Live<T>[] = [];
  #thrownAway = 0; // highest sequence of what was held and is no longer
  #id = 0; // of the latest join, page or wait: an older one's outcome is ignored
  #next: "subscribe" | "ask" = "ask"; // after the wait
  #attempt = 0; // failures in a row
  #holes = 0; // replays in a row that did not fill the hole
  #ahead = 0;
  #started = false;
  #out: Action<T>[] = [];

  constructor(options: RecoveryOptions = {}) {
    this.#snapshot = options.snapshot ?? false;
    this.#wanted = options.categories?.length ? new Set(options.categories) : null;
    this.#capacity = this.#room = options.room ?? Infinity;
    this.#holdLimit = options.hold ?? defaultHold;
    this.#page = options.page ?? defaultPage;
    this.#placed = options.from !== undefined;
    if (options.from !== undefined) {
      this.#epoch = options.from.epoch;
      this.#move(options.from.after, options.from.seen);
    }
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Takes an event; answers what is to be done, in this order. */
  handle(event: Event<T>): Action<T>[] {
    this.#out = [];
    if (this.#phase !== "ended") this.#handle(event);
    return this.#out;
  }

  #handle(event: Event<T>): void {
    switch (event.type) {
      case "connected":
        this.#interrupt("subscribing");
        this.#do({ type: "subscribe" });
        break;
      case "disconnected":
        this.#interrupt("offline");
        break;
      case "subscribed":
        if (this.#phase === "subscribing") this.#ask();
        break;
      case "refused":
        if (this.#phase === "offline") break;
        this.#throwAway(); // it is in the history
        // Each subject may be refused for the same reset: with nothing known there is none to tell.
        if (event.ahead === true && (this.#after > 0 || this.#seen.size > 0)) this.#forget();
        this.#fail(event, "subscribe");
        break;
      case "live":
        this.#takeLive(event.live);
        break;
      case "joined":
        if (this.#phase === "joining" && event.id === this.#id) this.#takeJoin(event);
        break;
      case "page":
        if (this.#phase === "replaying" && event.id === this.#id) this.#takePage(event);
        break;
      case "failed":
        if (event.id === this.#id && (this.#phase === "joining" || this.#phase === "replaying")) this.#takeFailure(event);
        break;
      case "due":
        if (this.#phase === "waiting" && event.id === this.#id) this.#retry();
        break;
      case "consumed":
        this.#room = Math.min(this.#capacity, this.#room + event.count);
        if (this.#phase === "paused") this.#ask();
        break;
      case "refresh":
        if (this.#phase === "live") this.#ask();
        break;
      case "stop":
        this.#end(event.error);
        break;
    }
  }

  #do(action: Action<T>): void {
    this.#out.push(action);
  }

  /** Drops what is under way; the place stays. */
  #interrupt(phase: Phase): void {
    this.#phase = phase;
    this.#held = [];
    this.#thrownAway = 0;
    this.#attempt = 0;
    this.#holes = 0;
    this.#ahead = 0;
  }

  #end(error?: Error): void {
    this.#interrupt("ended");
    this.#do({ type: "unsubscribe" });
    this.#do(error === undefined ? { type: "end" } : { type: "end", error });
  }

  /** Asks for what is missing: the next page, or where to begin. */
  #ask(): void {
    if (!this.#placed) {
      this.#phase = "joining";
      this.#do({ type: "join", id: ++this.#id });
      return;
    }
    // In halves, so that a slow consumer does not make a request for each status.
    if (this.#room * 2 < this.#capacity) {
      this.#pause();
      return;
    }
    this.#phase = "replaying";
    const place = { epoch: this.#epoch, after: this.#after, seen: Object.fromEntries(this.#seen) };
    this.#do({ type: "history", id: ++this.#id, place, limit: Math.min(this.#page, this.#room) });
  }

  #pause(): void {
    this.#phase = "paused";
    this.#held = [];
    this.#thrownAway = 0;
  }

  #wait(next: "subscribe" | "ask", attempt: number, retryAfterMillis?: number): void {
    this.#phase = "waiting";
    this.#next = next;
    this.#do({ type: "wait", id: ++this.#id, attempt, retryAfterMillis });
  }

  #retry(): void {
    if (this.#next === "ask") {
      this.#ask();
      return;
    }
    this.#phase = "subscribing";
    this.#do({ type: "subscribe" });
  }

  #fail(failure: Failure, next: "subscribe" | "ask"): void {
    const again = failure.again === "always" || (failure.again === "restoring" && this.#started);
    if (!again) this.#end(failure.error);
    // Subjects that are refused together are subscribed to again together, and have failed once.
    else if (this.#phase !== "waiting" || this.#next !== "subscribe") this.#wait(next, this.#attempt++, failure.retryAfterMillis);
  }

  #takeFailure(event: Extract<Event<T>, { type: "failed" }>): void {
    if (event.ahead !== true) {
      this.#ahead = 0;
      this.#fail(event, "ask");
      return;
    }
    if (++this.#ahead < aheadBelieved) {
      this.#wait("ask", this.#ahead - 1);
      return;
    }
    this.#forget();
    this.#ask();
  }

  /** It is another stream: nothing of it is known. */
  #forget(): void {
    this.#ahead = 0;
    this.#throwAway(); // some may be of the old one
    this.#epoch = undefined;
    this.#seen.clear();
    this.#after = 0;
    this.#do({ type: "truncated", firstSequence: 1, reason: "reset" });
  }

  #takeJoin(event: Extract<Event<T>, { type: "joined" }>): void {
    this.#attempt = 0;
    this.#placed = true;
    this.#take(event.epoch);
    if (this.#snapshot) {
      if (event.truncated) this.#do({ type: "truncated", firstSequence: event.upTo + 1, reason: "snapshot" });
      for (const item of event.statuses.filter((status) => this.#wants(status))) {
        this.#move(item.sequence - 1, {}); // who goes on from here wants nothing that is older
        this.#deliver(item, "snapshot");
      }
    }
    this.#move(event.upTo, {});
    this.#begun();
    this.#settle();
  }

  #takePage(event: Extract<Event<T>, { type: "page" }>): void {
    this.#attempt = 0;
    if (this.#epoch !== undefined && event.epoch !== undefined && event.epoch !== this.#epoch) {
      this.#forget();
      this.#ask();
      return;
    }
    this.#ahead = 0;
    this.#take(event.epoch);
    // The first status after a gap is marked; it may be one that is left out here.
    const isMarked = event.items.some(({ truncated }) => truncated !== undefined);
    if (!isMarked) this.#reportGap(event.truncated);
    for (const item of event.items) {
      this.#reportGap(item.truncated);
      if (this.#wants(item) && this.#isNew(item)) this.#deliver(item, "replay");
    }
    this.#move(event.nextAfter, {});
    this.#begun();
    if (event.more) this.#ask();
    else this.#settle();
  }

  #takeLive(live: Live<T>): void {
    if (!this.#wants(live)) return;
    switch (this.#phase) {
      case "offline":
      case "paused":
        return; // it will be in the history
      case "live":
        this.#accept(live);
        return;
      default:
        this.#hold(live);
    }
  }

  #hold(live: Live<T>): void {
    this.#held.push(live);
    if (this.#held.length > this.#holdLimit) this.#throwAway();
  }

  #throwAway(): void {
    for (const { sequence } of this.#held) this.#thrownAway = Math.max(this.#thrownAway, sequence);
    this.#held = [];
  }

  /** Not only when all pages are in: until it has begun nobody makes room for the next one. */
  #begun(): void {
    if (this.#started) return;
    this.#started = true;
    this.#do({ type: "started" });
  }

  /** A page or a join is in: what was held follows it, unless some had to be thrown away. */
  #settle(): void {
    const missed = this.#thrownAway > this.#after;
    this.#thrownAway = 0;
    if (missed) {
      this.#held = [];
      this.#ask();
      return;
    }
    const held = this.#held;
    this.#held = [];
    this.#phase = "live";
    for (const live of held) this.#takeLive(live);
  }

  #accept(live: Live<T>): void {
    if (!this.#isNew(live)) return;
    if (this.#room < 1) {
      this.#pause();
      return;
    }
    // Never "≠": the number goes back when what was before has expired.
    if (live.truncated === undefined && live.last > this.#position(live.category)) {
      this.#held = [live];
      if (this.#holes++ === 0) this.#ask();
      else this.#wait("ask", this.#holes - 2);
      return;
    }
    this.#holes = 0;
    this.#reportGap(live.truncated);
    this.#deliver(live, "live");
  }

  #reportGap(firstSequence: number | undefined): void {
    if (firstSequence !== undefined) this.#do({ type: "truncated", firstSequence, reason: "retention" });
  }

  #deliver(item: Item<T>, origin: Origin): void {
    this.#room--;
    this.#seen.set(item.category, item.sequence);
    this.#do({ type: "deliver", item: { category: item.category, sequence: item.sequence, value: item.value }, origin });
  }

  /** What follows is of this stream. */
  #take(epoch: string | undefined): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#do({ type: "known", after: this.#after, epoch });
  }

  #wants({ category }: Item<T>): boolean {
    return this.#wanted === null || this.#wanted.has(category);
  }

  #isNew({ category, sequence }: Item<T>): boolean {
    return sequence > this.#position(category);
  }

  #position(category: string): number {
    return Math.max(this.#after, this.#seen.get(category) ?? 0);
  }

  #move(after: number, seen: Readonly<Record<string, number>>): void {
    this.#after = Math.max(this.#after, after);
    for (const [category, sequence] of Object.entries(seen)) this.#seen.set(category, sequence);
    for (const [category, sequence] of this.#seen) if (sequence <= this.#after) this.#seen.delete(category);
    this.#do({ type: "known", after: this.#after, epoch: this.#epoch });
  }
}
