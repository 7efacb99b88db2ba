// An iterator that can be left at any time.

/**
 * These values, until the consumer leaves: then `end` is called at once. A generator
 * by itself would first finish a `next` that waits, and not notice at all when it was
 * left before the first one.
 */
export function leavable<T>(values: AsyncGenerator<T, void, void>, end: () => void): AsyncIterableIterator<T, void, void> {
  return {
    next: () => values.next(),
    return: () => {
      end();
      return values.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
