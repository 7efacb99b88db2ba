// How long to wait before trying again. Pure.

/** Waits of one kind: at most `firstMillis` before attempt 0, doubling up to `lastMillis`. */
export interface Backoff {
  readonly firstMillis: number;
  readonly lastMillis: number;
}

/**
 * Full jitter: anything between nothing and a bound that doubles, so that the
 * clients of a restarted server do not all come at once. `random` is 0 to 1.
 */
export function backoffMillis({ firstMillis, lastMillis }: Backoff, attempt: number, random: number): number {
  return random * Math.min(lastMillis, firstMillis * 2 ** Math.min(attempt, 30));
}
