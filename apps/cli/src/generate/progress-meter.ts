/** One line of progress: redrawn on a terminal; elsewhere plain lines at the start, every ten seconds and at the end. */
import { printable } from "@lvsa/runtime";

export interface ProgressMeterOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

const REDRAW_MS = 100;
const PLAIN_MS = 10_000;

export class ProgressMeter {
  readonly #write: (text: string) => void;
  readonly #isTerminal: boolean;
  readonly #now: () => number;
  #last: number | undefined;
  #isDrawn = false;

  constructor(options: ProgressMeterOptions) {
    this.#write = options.write;
    this.#isTerminal = options.isTerminal;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Shows `text`, unless something was shown a moment ago. `force`: the beginning or the end of something. */
  show(text: string, force = false): void {
    const now = this.#now();
    const wait = this.#isTerminal ? REDRAW_MS : PLAIN_MS;
    if (!force && this.#last !== undefined && now - this.#last < wait) return;
    this.#last = now;
    if (this.#isTerminal) {
      this.#write(`\r\x1b[2K${printable(text)}`);
      this.#isDrawn = true;
    } else {
      this.#write(`${printable(text)}\n`);
    }
  }

  /** Makes room for other lines; the next `show` draws again. */
  clear(): void {
    if (!this.#isDrawn) return;
    this.#write("\r\x1b[2K");
    this.#isDrawn = false;
  }
}
