// Waiting for what is to be.

export const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** Waits until it holds; fails with what `what` says. Both may be asynchronous, and `what` a text. */
export async function until(holds, what, patienceMillis = 15_000) {
  const end = Date.now() + patienceMillis;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${patienceMillis} ms for ${typeof what === "function" ? await what() : what}`);
    await sleep(10);
  }
}
