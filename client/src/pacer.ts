// The server closes a connection that sends too many operations within a second
// (limits.operations, 100 as shipped). A page with many subscriptions has to
// restore them after a reconnect: one after the other, then.

const perSecond = 40;
const burst = 40;

/** A token bucket for what is sent. */
export class Pacer {
  #tokens = burst;
  #filledAt = 0;
  #last: Promise<void> = Promise.resolve();

  /** Counts an operation that does not wait. */
  spend(): void {
    this.#fill();
    this.#tokens--;
  }

  /** Resolves when one more operation may be sent, in the order of the calls. */
  take(): Promise<void> {
    this.#last = this.#last.then(async () => {
      this.#fill();
      this.#tokens--;
      if (this.#tokens >= 0) return;
      await new Promise((resolve) => setTimeout(resolve, (-this.#tokens / perSecond) * 1_000));
    });
    return this.#last;
  }

  #fill(): void {
    const now = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1_000) * perSecond);
    this.#filledAt = now;
  }
}
