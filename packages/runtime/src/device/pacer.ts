/**
 * Bounds the work that is recorded but not done. A forward pass records within milliseconds what the GPU works on for
 * minutes; without a bound a stop takes effect, and a progress line moves, only when all of it is done.
 */

/** Work that may be in flight, by measured time. */
const TARGET_MILLISECONDS = 250;
/** Portions in flight at least: one runs while the next is recorded. */
const FEWEST = 1;
const MOST = 32;

export class Pacer {
  readonly #queue: GPUQueue;
  readonly #waiting: Promise<void>[] = [];
  #allowed = 2;
  #portion: number | undefined;
  #lastDone = 0;

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  /** Portions submitted whose end has not been seen. */
  get inFlight(): number {
    return this.#waiting.length;
  }

  /** Marks the end of a portion that was just submitted; resolves when few enough are in flight. */
  async portion(): Promise<void> {
    const submitted = performance.now();
    const done: Promise<void> = this.#queue.onSubmittedWorkDone().then(
      () => this.#done(done, submitted),
      () => this.#done(done, submitted),
    );
    this.#waiting.push(done);
    while (this.#waiting.length > this.#allowed) await this.#waiting[0];
  }

  #done(promise: Promise<void>, submitted: number): void {
    const at = this.#waiting.indexOf(promise);
    if (at >= 0) this.#waiting.splice(at, 1);
    const now = performance.now();
    // Time of this portion alone: since the one before it ended, or since it was handed over.
    const took = now - Math.max(this.#lastDone, submitted);
    this.#lastDone = now;
    this.#portion = this.#portion === undefined ? took : 0.5 * this.#portion + 0.5 * took;
    this.#allowed = Math.min(
      MOST,
      Math.max(FEWEST, Math.floor(TARGET_MILLISECONDS / Math.max(this.#portion, 1))),
    );
  }
}
