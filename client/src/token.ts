// When a token ends, and when to ask for the next one. Pure.

/**
 * The time in the claim `exp` of a JWT, milliseconds since 1970; undefined for a
 * token that says nothing about its end. Nothing is verified: that is the server's.
 */
export function expiryOf(token: string): number | undefined {
  const claims = token.split(".")[1];
  if (claims === undefined) return undefined;
  try {
    const text = atob(claims.replaceAll("-", "+").replaceAll("_", "/"));
    const { exp } = JSON.parse(text) as { exp?: unknown };
    return typeof exp === "number" && Number.isFinite(exp) ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}

/** setTimeout takes no more: 24.8 days. */
const longestTimerMillis = 2 ** 31 - 1;
const leastMillis = 1_000;

/**
 * How long to wait before a fresh token is handed in: two thirds to five sixths
 * of what is left, so that there is time to try again, and that the clients of a
 * restarted server do not all renew at once. Never at once, so that tokens that have
 * hardly any time left are not asked for without end. `random` is 0 to 1.
 */
export function renewInMillis(leftMillis: number, random: number): number {
  return Math.max(leastMillis, Math.min(longestTimerMillis, leftMillis * (2 / 3 + random / 6)));
}

/** How long to wait after a renewal that failed: less and less is left to try. */
export function retryInMillis(leftMillis: number, random: number): number {
  return Math.max(leastMillis, Math.min(60_000, (leftMillis / 3) * (0.5 + random / 2)));
}
