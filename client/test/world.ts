// A model of everything around a Recovery: a stream with retention, a server
// that delivers live statuses and answers joins and pages, a connection that
// breaks, a consumer that takes its time. What a run of it delivers is compared
// with what was published.

import { type Action, type Event, type Item, type Live, Recovery, type RecoveryOptions } from "../src/recovery.ts";

interface Message {
  readonly epoch: number; // which stream, of those that resets of the data have begun
  readonly category: string;
  readonly sequence: number;
}

type Line = { readonly deliver: Message; readonly origin: string } | { readonly truncated: string };

/** What a run does next; `n` picks among what is there. */
export interface Step {
  readonly op:
    | "publish"
    | "lose" // publish, and the live copy is lost on the way to the client
    | "double" // the live copy comes twice
    | "arrive"
    | "answer"
    | "answer late"
    | "send"
    | "fail"
    | "lag" // an answer of a server that has less than the others
    | "repeat" // a page that has what the client says it has seen
    | "subscribed"
    | "due"
    | "refuse"
    | "cut"
    | "connect"
    | "consume"
    | "refresh"
    | "drop" // retention drops the oldest
    | "purge" // a category is deleted
    | "reset" // the server is stopped and has another, empty stream then
    | "anew" // another, empty stream while the server runs
    | "notice"; // the server has noticed that, and ends what is subscribed to
  readonly n: number;
}

export interface WorldOptions extends RecoveryOptions {
  readonly categories?: readonly string[];
  readonly perCategory?: number; // retention: at most so many of each category
  readonly serverPage?: number; // the server's own bound on a page
}

const all = ["a", "b", "c"];

export class World {
  readonly #options: WorldOptions;
  readonly machine: Recovery<Message>;
  readonly log: Line[] = [];
  readonly published: Message[] = [];
  /** What is gone by retention, of each stream. */
  readonly #dropped = new Set<Message>();
  readonly #purged = new Set<Message>();
  ended: Error | true | undefined;
  started = false;

  #epoch = 0;
  #stored: Message[] = [];
  #first = 1;
  #lastSequence = 0;
  /** Category → what the fan-out takes for doubles, while it has not noticed a new stream. */
  #stale: ReadonlyMap<string, number> | undefined;
  /** What is up to here is not wanted. */
  #begin: { readonly epoch: number; readonly sequence: number } | undefined;

  #connected = false;
  #active = false; // the SUBs have taken effect
  #subscribing = false;
  readonly #wires = new Map<string, Live<Message>[]>(); // category → on its way, in order
  #requests: Extract<Action<Message>, { type: "join" | "history" }>[] = [];
  #late: Event<Message>[] = []; // answers that are read but not yet sent
  #waits: number[] = [];
  #waiting = 0; // delivered and not consumed
  #mostWaiting = 0;
  #lost = false; // some live copy was

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.machine = new Recovery(options);
    if (options.from !== undefined) this.#begin = { epoch: 0, sequence: options.from.after };
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) this.step(step);
  }

  step({ op, n }: Step): void {
    switch (op) {
      case "publish":
        this.#publish(n, 1);
        break;
      case "lose":
        this.#lost = true;
        this.#publish(n, 0);
        break;
      case "double":
        this.#publish(n, 2);
        break;
      case "arrive":
        this.#arrive(n);
        break;
      case "answer":
      case "answer late":
      case "lag":
      case "repeat":
        this.#answer(n, op);
        break;
      case "send":
        this.#send(n);
        break;
      case "fail": {
        const request = take(this.#requests, n);
        if (request !== undefined) this.#tell({ type: "failed", id: request.id, error: new Error("busy"), again: "always" });
        break;
      }
      case "subscribed":
        this.#effect();
        break;
      case "due": {
        const id = take(this.#waits, n);
        if (id !== undefined) this.#tell({ type: "due", id });
        break;
      }
      case "refuse":
        if (!this.#connected || !this.started) break;
        this.#active = this.#subscribing = false;
        this.#tell({ type: "refused", error: new Error("subscribe again"), again: "always" });
        break;
      case "cut":
        this.#cut();
        break;
      case "connect":
        if (this.#connected) break;
        this.#connected = true;
        this.#tell({ type: "connected" });
        break;
      case "consume":
        this.#consume(n % 4);
        break;
      case "refresh":
        this.#tell({ type: "refresh" });
        break;
      case "drop":
        this.#drop(n % 4);
        break;
      case "purge": {
        const category = all[n % all.length];
        for (const m of this.published) if (m.category === category) this.#purged.add(m);
        this.#stored = this.#stored.filter((m) => m.category !== category);
        break;
      }
      case "reset":
        this.#cut();
        this.#stale = undefined;
        this.#reset();
        break;
      case "anew":
        if (this.#stale !== undefined) break;
        this.#stale = new Map(all.map((category) => [category, this.#stored.findLast((m) => m.category === category)?.sequence ?? 0]));
        this.#reset();
        break;
      case "notice":
        this.#notice();
        break;
    }
  }

  /** Lets everything that is under way come to its end, and the client catch up. */
  settle(): void {
    this.#notice();
    this.step({ op: "connect", n: 0 });
    this.#drain();
    if (!this.#lost) return;
    this.step({ op: "refresh", n: 0 }); // what was lost and had no successor
    this.#drain();
  }

  #drain(): void {
    for (let i = 0; this.ended === undefined; i++) {
      if (i > 10_000) throw new Error(`it never comes to rest: ${this.machine.phase}`);
      this.#consume(this.#waiting);
      if (this.#subscribing) this.#effect();
      else if (this.#late.length > 0) this.#send(0);
      else if (this.#requests.length > 0) this.#answer(0, "answer");
      else if (this.#waits.length > 0) this.step({ op: "due", n: 0 });
      else if (!this.#arrive(0)) return;
    }
  }

  /** What is wrong with the outcome, in words; empty when all is well. */
  faults(): string[] {
    const faults: string[] = [];
    const begin = this.#begin ?? { epoch: 0, sequence: 0 };
    const isBefore = ({ epoch, sequence }: Message): boolean => epoch < begin.epoch || (epoch === begin.epoch && sequence <= begin.sequence);
    if (this.#begin === undefined) faults.push("it has no beginning");
    if (this.#mostWaiting > (this.#options.room ?? Infinity)) faults.push(`${this.#mostWaiting} waited for the consumer`);
    if (this.machine.phase !== "live") faults.push(`it rests in ${this.machine.phase}`);
    const at = new Map<Message, number>();
    const newest = new Map<string, number>();
    let stream = begin.epoch; // of the last delivery
    for (const [i, line] of this.log.entries()) {
      if ("truncated" in line) {
        if (line.truncated === "reset") stream = -1;
        continue;
      }
      const { deliver: m, origin } = line;
      const name = nameOf(m);
      if (at.has(m)) faults.push(`${name} was delivered twice`);
      at.set(m, i);
      if (!this.#wanted(m)) faults.push(`${name} was not asked for`);
      if (stream === -1) stream = m.epoch;
      else if (m.epoch !== stream) faults.push(`${name} was delivered after a status of stream ${stream}, and no reset reported`);
      if (origin !== "snapshot" && isBefore(m)) faults.push(`${name} was there before it began`);
      const key = `${m.epoch}.${m.category}`;
      if (m.sequence < (newest.get(key) ?? 0)) faults.push(`${name} was delivered after ${newest.get(key)}`);
      newest.set(key, m.sequence);
    }
    for (const m of this.published) {
      if (at.has(m) || !this.#wanted(m) || this.#purged.has(m)) continue;
      if (isBefore(m)) continue;
      if (!this.#dropped.has(m)) faults.push(`${nameOf(m)} is still stored and was never delivered`);
      else if (!this.#reported(m, at)) faults.push(`${nameOf(m)} is gone and nobody was told`);
    }
    return faults;
  }

  /** What is wrong when streams were made anew under the client: all that counts is what came after the last report. */
  faultsAtLast(): string[] {
    const from = this.log.findLastIndex((line) => "truncated" in line && line.truncated === "reset");
    const came = this.log.slice(from + 1).flatMap((line) => ("deliver" in line ? [line.deliver] : []));
    const faults: string[] = [];
    for (const category of all) {
      const got = came.filter((m) => m.category === category);
      const names = got.map(nameOf).join(" ");
      if (got.some((m) => m.epoch !== this.#epoch)) faults.push(`behind the last report came ${names}`);
      if (got.some((m, i) => i > 0 && m.sequence <= (got[i - 1] as Message).sequence)) faults.push(`twice or out of order: ${names}`);
      const missing = this.#stored.filter((m) => m.category === category && this.#wanted(m) && !got.includes(m));
      faults.push(...missing.map((m) => `${nameOf(m)} is still stored and never came behind the last report`));
    }
    return faults;
  }

  /** What was delivered and reported, for a person. */
  story(): string {
    return this.log.map((line) => ("deliver" in line ? `${nameOf(line.deliver)} ${line.origin}` : `truncated: ${line.truncated}`)).join(", ");
  }

  /** Whether a truncation was reported between what comes before m and what comes after it. */
  #reported(m: Message, at: ReadonlyMap<Message, number>): boolean {
    let from = -1;
    let to = this.log.length;
    for (const [other, i] of at) {
      if (other.category !== m.category) continue;
      const earlier = other.epoch < m.epoch || (other.epoch === m.epoch && other.sequence < m.sequence);
      if (earlier) from = Math.max(from, i);
      else to = Math.min(to, i);
    }
    return this.log.slice(from + 1, to).some((line) => "truncated" in line);
  }

  #wanted({ category }: Message): boolean {
    return this.#options.categories === undefined || this.#options.categories.includes(category);
  }

  #tell(event: Event<Message>): void {
    for (const action of this.machine.handle(event)) {
      switch (action.type) {
        case "subscribe":
          this.#subscribing = true;
          break;
        case "join":
        case "history":
          this.#requests.push(action);
          break;
        case "wait":
          this.#waits.push(action.id);
          break;
        case "deliver":
          this.#waiting++;
          if (action.origin !== "snapshot") this.#mostWaiting = Math.max(this.#mostWaiting, this.#waiting);
          this.log.push({ deliver: action.item.value, origin: action.origin });
          break;
        case "truncated":
          this.log.push({ truncated: action.reason });
          break;
        case "started":
          if (this.started) throw new Error("it started twice");
          this.started = true;
          if (event.type === "joined") this.#begin = { epoch: Number(event.epoch), sequence: event.upTo };
          break;
        case "end":
          this.ended = action.error ?? true;
          break;
      }
    }
  }

  #publish(n: number, copies: number): void {
    const category = all[n % all.length] as string;
    const last = this.#stored.findLast((m) => m.category === category)?.sequence ?? 0;
    const message = { epoch: this.#epoch, category, sequence: ++this.#lastSequence };
    this.published.push(message);
    this.#stored.push(message);
    const isDouble = message.sequence <= (this.#stale?.get(category) ?? 0);
    if (this.#active && this.#wanted(message) && !isDouble) {
      const wire = this.#wires.get(category) ?? [];
      this.#wires.set(category, wire);
      for (let i = 0; i < copies; i++) wire.push({ ...itemOf(message), last });
    }
    const of = this.#stored.filter((m) => m.category === category);
    if (this.#options.perCategory !== undefined && of.length > this.#options.perCategory) this.#forget([of[0] as Message]);
  }

  #drop(count: number): void {
    this.#forget(this.#stored.slice(0, count));
    this.#first = this.#stored[0]?.sequence ?? this.#lastSequence + 1;
  }

  #forget(gone: readonly Message[]): void {
    for (const m of gone) this.#dropped.add(m);
    this.#stored = this.#stored.filter((m) => !gone.includes(m));
    this.#first = this.#stored[0]?.sequence ?? this.#lastSequence + 1;
  }

  #reset(): void {
    for (const m of this.#stored) this.#dropped.add(m);
    this.#epoch++;
    this.#stored = [];
    this.#first = 1;
    this.#lastSequence = 0;
  }

  #notice(): void {
    if (this.#stale === undefined) return;
    this.#stale = undefined;
    if (!this.#active) return;
    this.#active = this.#subscribing = false;
    this.#wires.clear();
    for (const _ of this.#options.categories ?? ["*"]) {
      this.#tell({ type: "refused", error: new Error("the server's data was reset"), again: "always", ahead: true });
    }
  }

  /** What the old stream has sent is there before an answer out of the new one. */
  #flushOld(): void {
    for (const [category, wire] of this.#wires) {
      this.#wires.set(category, wire.filter(({ value }) => value.epoch === this.#epoch));
      for (const live of wire) if (live.value.epoch !== this.#epoch) this.#tell({ type: "live", live });
    }
  }

  #arrive(n: number): boolean {
    const wires = [...this.#wires.values()].filter((wire) => wire.length > 0);
    const live = wires[n % Math.max(1, wires.length)]?.shift();
    if (live === undefined) return false;
    this.#tell({ type: "live", live });
    return true;
  }

  #answer(n: number, how: "answer" | "answer late" | "lag" | "repeat"): void {
    const request = take(this.#requests, n);
    if (request === undefined) return;
    const event = request.type === "join" ? this.#joined(request.id) : this.#page(request, how);
    this.#flushOld();
    if (how === "lag") this.#lost = true;
    if (how === "answer late") this.#late.push(event);
    else this.#tell(event);
  }

  #send(n: number): void {
    const event = take(this.#late, n);
    if (event !== undefined) this.#tell(event);
  }

  #joined(id: number): Event<Message> {
    const newest = new Map<string, Message>();
    for (const m of this.#stored) newest.set(m.category, m);
    const statuses = [...newest.values()].sort((a, b) => a.sequence - b.sequence).map(itemOf);
    return { type: "joined", id, epoch: String(this.#epoch), upTo: this.#lastSequence, statuses, truncated: false };
  }

  #page({ id, place, limit }: Extract<Action<Message>, { type: "history" }>, how: Step["op"]): Event<Message> {
    const end = this.#lastSequence - (how === "lag" ? 2 : 0);
    const epoch = String(this.#epoch);
    const isOthers = place.epoch !== undefined && place.epoch !== epoch;
    if (isOthers || [place.after, ...Object.values(place.seen)].some((sequence) => sequence > end)) {
      return { type: "failed", id, error: new Error("ahead"), again: "never", ahead: true };
    }
    const from = (category: string): number => Math.max(place.after, place.seen[category] ?? 0);
    const above = (category: string): number => (how === "repeat" ? place.after : from(category));
    const wanted = this.#stored.filter((m) => this.#wanted(m) && m.sequence > above(m.category) && m.sequence <= end);
    const page = wanted.slice(0, Math.min(limit, this.#options.serverPage ?? Infinity));
    const more = page.length < wanted.length;
    const asked = this.#options.categories;
    const gone = asked === undefined ? place.after + 1 < this.#first : asked.some((category) => from(category) + 1 < this.#first);
    const full = (asked ?? all).some((category) => {
      const stored = this.#stored.filter((m) => m.category === category);
      return stored.length === this.#options.perCategory && (stored[0] as Message).sequence > from(category);
    });
    const truncated = gone || full ? this.#first : undefined;
    const nextAfter = more ? (page.at(-1)?.sequence ?? place.after) : end;
    return { type: "page", id, epoch, items: page.map(itemOf), nextAfter, more, truncated };
  }

  #effect(): void {
    if (!this.#subscribing) return;
    this.#subscribing = false;
    this.#active = true;
    this.#tell({ type: "subscribed" });
  }

  #cut(): void {
    if (!this.#connected) return;
    this.#connected = this.#active = this.#subscribing = false;
    this.#wires.clear();
    this.#requests = [];
    // Some answers of before the cut are still in the client when it hears of it.
    this.#tell({ type: "disconnected" });
  }

  /** The application has nothing to take from until it has begun. */
  #consume(count: number): void {
    if (!this.started) return;
    const taken = Math.min(count, this.#waiting);
    this.#waiting -= taken;
    if (taken > 0) this.#tell({ type: "consumed", count: taken });
  }
}

const itemOf = (m: Message): Item<Message> => ({ category: m.category, sequence: m.sequence, value: m });
const nameOf = (m: Message): string => `${m.epoch}.${m.category}.${m.sequence}`;

function take<V>(list: V[], n: number): V | undefined {
  return list.length === 0 ? undefined : list.splice(n % list.length, 1)[0];
}
