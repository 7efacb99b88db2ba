// Requests to the server: asked one connection at a time, paced, bounded in
// number and in time, answered with JSON or a typed error.

import {
  type Msg,
  type NatsConnection,
  NoRespondersError,
  PermissionViolationError,
  type QueuedIterator,
  type RequestManyOptions,
  TimeoutError,
} from "@nats-io/nats-core";
import { ConnectionError, RequestError, StatuswireError, UnavailableError } from "./errors.ts";
import type { Pacer } from "./pacer.ts";
import type { Place } from "./recovery.ts";
import { answerError, permissionError } from "./refusal.ts";
import { ownHeaders, parseJson, type Priority, readStatus, sequenceHeader, type Status, truncatedHeader } from "./status.ts";

/** At once, of the 64 that the server allows a connection. */
const maxAtOnce = 16;
/** Pages at once, of the four that the server allows a user: there may be other tabs. */
const maxPagesAtOnce = 2;

/** One page of the history, in the order of the stream. */
export interface Page {
  readonly parts: readonly Part[];
  /** The stream that the sequences are of. */
  readonly epoch: string | undefined;
  /** Ask again from here. */
  readonly nextAfter: number;
  readonly more: boolean;
  /** First sequence that can be had, when some of what was asked for are gone. */
  readonly truncated: number | undefined;
}

/** One status of a page. */
export interface Part {
  readonly status: Status;
  /** First sequence that can be had, when statuses before this one are gone. */
  readonly truncated: number | undefined;
}

export interface PageQuery {
  readonly conversation: string;
  readonly categories?: readonly string[] | undefined;
  readonly place: Place;
  readonly since?: Date | undefined;
  readonly minPriority?: Priority | undefined;
  readonly limit: number;
}

export class Requests {
  readonly #pacer: Pacer;
  readonly #timeoutMillis: number;
  readonly #all = new Lanes(maxAtOnce);
  readonly #pages = new Lanes(maxPagesAtOnce);

  constructor(pacer: Pacer, timeoutMillis: number) {
    this.#pacer = pacer;
    this.#timeoutMillis = timeoutMillis;
  }

  /** Asks and answers the JSON; rejects with a StatuswireError. */
  json(nats: NatsConnection, subject: string, payload = ""): Promise<unknown> {
    return this.#turn(this.#all, nats, async () => {
      const answer = parseJson((await nats.request(subject, payload, { timeout: this.#timeoutMillis })).string());
      const error = answerError(answer);
      if (error !== undefined) throw error;
      return answer;
    });
  }

  /** Asks for one page of the history. */
  page(nats: NatsConnection, query: PageQuery): Promise<Page> {
    const { conversation, categories, place, since, minPriority, limit } = query;
    const payload = {
      ...(categories === undefined ? {} : { categories }),
      ...(place.epoch === undefined ? {} : { epoch: place.epoch }),
      after: place.after,
      ...(Object.keys(place.seen).length === 0 ? {} : { seen: place.seen }),
      ...(since === undefined ? {} : { since: since.toISOString() }),
      ...(minPriority === undefined ? {} : { min_priority: minPriority }),
      limit,
    };
    return this.#turn(this.#pages, nats, () => this.#readPage(nats, `edge.${conversation}.history`, JSON.stringify(payload)));
  }

  async #readPage(nats: NatsConnection, subject: string, payload: string): Promise<Page> {
    // It answers what it says, and the interface that the package has for it.
    const options: RequestManyOptions = { strategy: "sentinel", maxWait: maxPageMillis };
    const parts = (await nats.requestMany(subject, payload, options)) as QueuedIterator<Msg>;
    const page: Part[] = [];
    const patience = Math.max(pageGapMillis, this.#timeoutMillis);
    const late = (): void => parts.stop(new TimeoutError());
    let timer = setTimeout(late, patience);
    try {
      for await (const part of parts) {
        clearTimeout(timer);
        if (part.headers?.has("Nats-Service-Error") === true) throw refusedAnswer(part);
        if (part.data.length === 0) return endOfPage(part, page);
        page.push(readPart(part));
        timer = setTimeout(late, patience);
      }
      throw new TimeoutError();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until it may ask; turns what goes wrong into a StatuswireError. */
  async #turn<T>(lanes: Lanes, nats: NatsConnection, ask: () => Promise<T>): Promise<T> {
    await lanes.enter();
    try {
      await this.#pacer.take();
      if (nats.isClosed()) throw new ConnectionError("connection_lost", "the connection was lost before the request was sent");
      return await ask();
    } catch (error) {
      throw requestError(error);
    } finally {
      lanes.leave();
    }
  }
}

/** So many at once; the others wait in their order. */
class Lanes {
  #free: number;
  readonly #queue: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** nats-core wants a bound for the whole: an hour. */
const maxPageMillis = 3_600_000;
/**
 * A page may take as long as it needs, but not stand still: the server gives up an
 * answer that does not go on for so long. After a restart it has many to give, and
 * who asks twice makes it worse. A connection that is lost ends the wait at once.
 */
const pageGapMillis = 30_000;

function endOfPage({ headers }: Msg, parts: readonly Part[]): Page {
  return {
    parts,
    epoch: headers?.get("Status-Epoch") || undefined,
    nextAfter: sequenceHeader(headers, "Status-Next-After"),
    more: headers?.get("Status-More") === "true",
    truncated: truncatedHeader(headers),
  };
}

function readPart(message: Msg): Part {
  const { headers } = message;
  const subject = headers?.get("Nats-Subject") ?? "";
  const sequence = sequenceHeader(headers, "Nats-Sequence");
  const status = readStatus(subject, sequence, parseJson(message.string()), ownHeaders(headers), { replayed: true });
  return { status, truncated: truncatedHeader(headers) };
}

function refusedAnswer(message: Msg): StatuswireError {
  const text = message.headers?.get("Nats-Service-Error") || "the server refused and gave no reason";
  return answerError(parseJson(message.string())) ?? new RequestError("refused", text);
}

/** What a request failed with, as one of ours. */
function requestError(error: unknown): StatuswireError {
  if (error instanceof StatuswireError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof PermissionViolationError) return permissionError(cause.message, cause);
  if (cause instanceof NoRespondersError) return new UnavailableError("unavailable", "nothing answers such requests on the server just now", { cause });
  if (cause instanceof TimeoutError) return new UnavailableError("timeout", "the server took too long to answer", { cause });
  return new ConnectionError("connection_lost", "the connection was lost before the answer came", { cause });
}

