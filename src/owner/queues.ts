/** Runs work of the same key one after the other, and work of different keys at the same time. */
export class Queues {
  private readonly tails = new Map<string, Promise<unknown>>();

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    // This work runs even when the work before it failed.
    const result = before.then(work, work);
    this.tails.set(key, result);
    const leave = (): void => {
      if (this.tails.get(key) === result) this.tails.delete(key);
    };
    result.then(leave, leave);
    return result;
  }
}
