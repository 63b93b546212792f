/**
 * Reads a distant file ahead of who reads it from front to back: many small reads become few large requests, and the
 * next one is under way while the last is used.
 */
import { type ByteSource, readTarget } from "../byte-source.js";

/** Reads with at most this many bytes between them are one after the other. */
const GAP = 1024 * 1024;
/** The first window; it doubles with every window that was asked for, up to half of what may be held. */
const FIRST_WINDOW = 256 * 1024;

interface Window {
  readonly start: number;
  readonly end: number;
  readonly data: Promise<Uint8Array>;
}

/**
 * @param bytes held or on their way at most, besides what the reader itself asked for; it owns the result's arrays
 * @param head what is known already of the file's beginning
 */
export function readAhead(source: ByteSource, bytes: number, head?: Uint8Array): ByteSource {
  return new ReadAhead(source, bytes, head);
}

class ReadAhead implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #source: ByteSource;
  readonly #largest: number;
  #windows: Window[] = [];
  #size = FIRST_WINDOW;
  /** Where the last read ended. */
  #last = 0;

  constructor(source: ByteSource, bytes: number, head: Uint8Array | undefined) {
    this.name = source.name;
    this.size = source.size;
    this.#source = source;
    this.#largest = Math.floor(bytes / 2);
    if (head) this.#windows.push({ start: 0, end: head.length, data: Promise.resolve(head) });
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const target = readTarget(this, offset, length, into);
    const end = offset + length;
    const inOrder = offset >= this.#last && offset - this.#last <= GAP;
    this.#last = end;
    if (!inOrder) this.#size = FIRST_WINDOW;
    for (let at = offset; at < end; ) {
      const window = this.#windowAt(at) ?? this.#open(at, end, inOrder);
      if (!window) {
        await this.#source.read(at, end - at, target.subarray(at - offset));
        break;
      }
      if (inOrder) this.#fill(end);
      const data = await window.data.catch((error) => {
        // The next read asks again.
        this.#windows = this.#windows.filter((one) => one !== window);
        throw error;
      });
      const stop = Math.min(end, window.end);
      target.set(data.subarray(at - window.start, stop - window.start), at - offset);
      at = stop;
    }
    if (inOrder) {
      this.#windows = this.#windows.filter((window) => window.end > end);
      this.#fill(end);
    }
    return target;
  }

  async close(): Promise<void> {
    this.#windows = [];
    await this.#source.close();
  }

  #windowAt(at: number): Window | undefined {
    return this.#windows.find(({ start, end }) => start <= at && at < end);
  }

  /** A window that begins at `at`, unless the reader's own request is as large, or it jumps about. */
  #open(at: number, end: number, inOrder: boolean): Window | undefined {
    return inOrder && end - at < this.#largest
      ? this.#request(at, Math.max(end - at, this.#size))
      : undefined;
  }

  /** Has the next window requested as long as less than half of what may be held lies ahead of `from`. */
  #fill(from: number): void {
    const last = this.#windows.reduce((most, window) => Math.max(most, window.end), from);
    if (last < this.size && last - from < this.#largest) this.#request(last, this.#size);
  }

  #request(start: number, length: number): Window | undefined {
    const end = Math.min(this.size, start + Math.min(length, this.#largest));
    if (end <= start) return undefined;
    this.#size = Math.min(this.#size * 2, Math.max(FIRST_WINDOW, this.#largest));
    const data = this.#source.read(start, end - start);
    // Who waits for it hears of a failure; if nobody does, it does not matter.
    data.catch(() => undefined);
    const window = { start, end, data };
    this.#windows.push(window);
    return window;
  }
}
