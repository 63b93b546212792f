/**
 * Keeps a queue's operations in the order in which they were recorded, also where the host has a part in between:
 * what is recorded behind such a part waits for it. Without one everything goes to the queue at once.
 */
export class QueueOrder {
  readonly #failed: (error: unknown) => void;
  #waiting: (() => void | Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  /** `failed` hears why a part of the host's failed; what waited for it is dropped. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** Whether the next operation waits: what it takes along must not change meanwhile. */
  get isHeld(): boolean {
    return this.#running !== undefined;
  }

  /** Now, or when the host's parts before it are done. */
  run(operation: () => void): void {
    if (this.#running) this.#waiting.push(operation);
    else operation();
  }

  /** A part of the host's, behind all operations so far and before all to come. */
  hold(part: () => Promise<void>): void {
    this.#waiting.push(part);
    this.#running ??= this.#drain();
  }

  /** Waits until nothing waits any more. Failures are told to `failed`, not here. */
  async passed(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Drops what waits; the host's part that is under way ends by itself. */
  close(): void {
    this.#waiting = [];
  }

  async #drain(): Promise<void> {
    try {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
        const part = next();
        if (part) await part;
      }
    } catch (error) {
      this.#waiting = [];
      this.#failed(error);
    } finally {
      this.#running = undefined;
    }
  }
}
