// The history of a conversation, page by page, as it is taken.

import { againOf, connection, type Context, retryMillis } from "./context.ts";
import { pause, unlessAborted } from "./deferred.ts";
import { StatuswireError } from "./errors.ts";
import { callSafely, type Truncation } from "./events.ts";
import { leavable } from "./iterator.ts";
import type { Place } from "./recovery.ts";
import type { Page, PageQuery } from "./request.ts";
import { checkCategories, type Priority, type Status } from "./status.ts";

export interface HistoryOptions {
  /** Of these categories; default all. */
  readonly categories?: readonly string[];
  /**
   * What is newer than this sequence, or than the `place` of a subscription, which is an error of kind
   * `ahead_of_stream` when the server's data was reset since. Default: everything that is kept.
   */
  readonly after?: number | Place;
  /** What was stored at this time or later. */
  readonly since?: Date;
  /** What has at least this priority; a status without one has `normal`. */
  readonly minPriority?: Priority;
  /** At most so many. Default: all. */
  readonly limit?: number;
  /** Called before the first status after a gap that retention has left. */
  readonly onTruncated?: (truncation: Truncation) => void;
  /** Ends it, with the signal's reason. */
  readonly signal?: AbortSignal;
}

const pageSize = 1_000;
/** How often in a row a page is asked for before the error is the application's. */
const attempts = 6;

/** Statuses in the order of the stream, until the consumer leaves. A lost connection is waited for. */
export function readHistory(context: Context, conversation: string, options: HistoryOptions): AsyncIterableIterator<Status, void, void> {
  const leaving = new AbortController();
  return leavable(readPages(context, conversation, options, leaving.signal), () => leaving.abort());
}

async function* readPages(context: Context, conversation: string, options: HistoryOptions, gone: AbortSignal): AsyncGenerator<Status, void, void> {
  const { categories, after = 0, since, minPriority, limit = Infinity, onTruncated, signal } = options;
  checkCategories(categories ?? []);
  let place: Place = typeof after === "number" ? { after, seen: {} } : after;
  for (let left = limit; left > 0; ) {
    const query: PageQuery = { conversation, categories, place, since, minPriority, limit: Math.min(pageSize, left) };
    const reading = unlessAborted(readPage(context, query, signal, gone), signal);
    const page = await unlessAborted(reading, gone).catch((error: unknown) => {
      if (!gone.aborted) throw error;
    });
    if (page === undefined) return;
    const report = (firstSequence: number | undefined): void => {
      if (firstSequence !== undefined) callSafely(() => onTruncated?.({ conversation, firstSequence, reason: "retention" }));
    };
    if (page.parts.every(({ truncated }) => truncated === undefined)) report(page.truncated);
    for (const { status, truncated } of page.parts) {
      signal?.throwIfAborted();
      report(truncated);
      yield status;
    }
    left -= page.parts.length;
    if (!page.more) return;
    place = { epoch: page.epoch, after: page.nextAfter, seen: place.seen };
  }
}

async function readPage(context: Context, query: PageQuery, signal: AbortSignal | undefined, gone: AbortSignal): Promise<Page> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await context.requests.page(await connection(context, signal), query);
    } catch (error) {
      signal?.throwIfAborted();
      gone.throwIfAborted();
      const again = error instanceof StatuswireError && againOf(error) !== "never";
      if (!again || attempt + 1 >= attempts) throw error;
      await pause(retryMillis(attempt, error.retryAfterMillis), context.link.ending);
    }
  }
}
