// What waits for a consumer that takes one after the other.

import { type Deferred, deferred } from "./deferred.ts";

/** An unbounded queue with one reader; who fills it keeps the bound. */
export class Queue<T> {
  #entries: T[] = [];
  #taken = 0;
  #arrival: Deferred<void> | undefined;
  #ended: { readonly error: Error | undefined } | undefined;

  get isEmpty(): boolean {
    return this.#taken === this.#entries.length;
  }

  push(entry: T): void {
    if (this.#ended !== undefined) return;
    this.#entries.push(entry);
    this.#arrival?.resolve();
  }

  /** What is in the queue can still be taken. */
  end(error?: Error): void {
    this.#ended ??= { error };
    this.#arrival?.resolve();
  }

  /** Leaves nothing to take. */
  clear(): void {
    this.#entries = [];
    this.#taken = 0;
  }

  /** The next entry, when there is one; undefined at the end; rejects if that is an error. */
  async take(): Promise<T | undefined> {
    for (;;) {
      if (!this.isEmpty) {
        const entry = this.#entries[this.#taken++];
        // What was taken goes, half of them at once: each entry moves once, also when it never runs empty.
        if (this.#taken * 2 >= this.#entries.length) {
          this.#entries.splice(0, this.#taken);
          this.#taken = 0;
        }
        return entry;
      }
      if (this.#ended !== undefined) {
        if (this.#ended.error !== undefined) throw this.#ended.error;
        return undefined;
      }
      this.#arrival = deferred();
      await this.#arrival.promise;
      this.#arrival = undefined;
    }
  }
}
