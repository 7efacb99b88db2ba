// What a client tells of itself.

import type { StatuswireError } from "./errors.ts";
import type { TruncationReason } from "./recovery.ts";

/** `connecting` until the first connection, `reconnecting` between two of them. */
export type ClientState = "connecting" | "connected" | "reconnecting" | "closed";

/** Statuses of a subscription are missing, and cannot be had. */
export interface Truncation {
  readonly conversation: string;
  /** Everything from this sequence on is there. */
  readonly firstSequence: number;
  /**
   * `retention`: they were dropped, as they were too old or too many. `reset`: the
   * server began anew with empty data. `snapshot`: the last statuses of some
   * categories were too large for one answer.
   */
  readonly reason: TruncationReason;
}

export type ClientEvent =
  /** There is a connection, the first one or one more. */
  | { readonly type: "connected"; readonly again: boolean }
  /** It is gone, for this reason. */
  | { readonly type: "disconnected"; readonly error: StatuswireError }
  /** The next attempt begins after this time; the error is why there is none yet. */
  | { readonly type: "reconnecting"; readonly attempt: number; readonly delayMillis: number; readonly error: StatuswireError }
  /** A fresh token was handed in. */
  | { readonly type: "token"; readonly expires: Date | undefined }
  /** A fresh token could not be handed in; the client tries again. */
  | { readonly type: "token failed"; readonly error: StatuswireError }
  /** A subscription misses something for good. */
  | ({ readonly type: "truncated" } & Truncation)
  /** Nothing more will come: closed by the application, or given up for this reason. */
  | { readonly type: "closed"; readonly error: StatuswireError | undefined };

/** Calls each listener; one that throws disturbs no other, and is reported as any error of a script. */
export class Listeners<E> {
  readonly #listeners = new Set<(event: E) => void>();

  /** Answers what takes it away again. */
  add(listener: (event: E) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: E): void {
    for (const listener of [...this.#listeners]) callSafely(() => listener(event));
  }
}

/** Calls the application; what it throws goes where uncaught errors go. */
export function callSafely(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
