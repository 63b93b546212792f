/**
 * The process's output streams as streams that may fail: a reader that went away or sleeps, a full disk. Work goes on
 * without them; what became of them is asked at the end.
 */

/** What is used of `process.stdout` and `process.stderr`. */
export interface OutputStream {
  write(text: string): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  readonly writableLength: number;
}

/** Bytes that wait for a reader who sleeps, before progress is left out. */
const MANY_WAITING = 1 << 20;
/** And before everything else is, too: a run of days must not fill the memory. */
const TOO_MANY_WAITING = 64 << 20;

export class TolerantOutput {
  readonly #stream: OutputStream;
  #error: NodeJS.ErrnoException | undefined;
  #hasWaited = false;

  constructor(stream: OutputStream) {
    this.#stream = stream;
    stream.on("error", (error) => {
      this.#error ??= error;
    });
  }

  /** Why nothing more is written; undefined while all is well. */
  get error(): NodeJS.ErrnoException | undefined {
    return this.#error;
  }

  /** Whether a text was ever not taken at once. */
  get hasWaited(): boolean {
    return this.#hasWaited;
  }

  /** @param kind progress may be left out where nobody reads */
  write(text: string, kind: "text" | "progress" = "text"): void {
    if (this.#error || this.#stream.writableLength > (kind === "text" ? TOO_MANY_WAITING : MANY_WAITING))
      return;
    try {
      this.#stream.write(text);
      this.#hasWaited ||= this.#stream.writableLength > 0;
    } catch (error) {
      // Files are written at once, and say at once that the disk is full.
      this.#error ??= error as NodeJS.ErrnoException;
    }
  }

  /** Waits until all is read, as long as somebody reads. */
  async drain(patienceMs = 2000): Promise<void> {
    // A stream says after the write that it failed.
    await new Promise((resolve) => setImmediate(resolve));
    let left = this.#stream.writableLength;
    for (let since = performance.now(); left > 0 && !this.#error; ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const now = this.#stream.writableLength;
      if (now < left) since = performance.now();
      else if (performance.now() - since > patienceMs) return;
      left = now;
    }
  }
}
