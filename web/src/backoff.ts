// How long to wait before the next attempt to connect.

const firstMillis = 500;
const lastMillis = 10_000;

/**
 * Milliseconds to wait before attempt 1, 2, …: doubling from half a second to
 * ten, of which a random half is left out, so that the pages of a restarted
 * server do not all come at once. `random` is 0 to 1.
 */
export function backoffMillis(attempt: number, random: number): number {
  const full = Math.min(lastMillis, firstMillis * 2 ** Math.min(attempt - 1, 10));
  return Math.round(full * (1 - random / 2));
}
