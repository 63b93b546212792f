/**
 * One after the other: a generation, and the decoding of its frames, have the pipeline to themselves while they work.
 * Who holds a turn may rest, and when the rest lasts others go on; so neither a reader that takes one frame and
 * leaves, nor one that generates again between two frames, stops everybody.
 */
import { throwIfAborted } from "@lvsa/runtime";

interface Waiting {
  readonly turn: Turn;
  readonly start: () => void;
}

export class Turns {
  #holder: Turn | undefined;
  readonly #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Waits for the turns before it. @throws AbortError when the signal fires first */
  async take(signal: AbortSignal): Promise<Turn> {
    const turn = new Turn(this);
    await this.enter(turn, signal);
    return turn;
  }

  /** @internal */
  holds(turn: Turn): boolean {
    return this.#holder === turn;
  }

  /** @internal */
  async enter(turn: Turn, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal, "the generation");
    await new Promise<void>((start) => {
      const begin = () => {
        signal.removeEventListener("abort", leave);
        start();
      };
      const waiting = { turn, start: begin };
      const leave = () => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        begin();
      };
      signal.addEventListener("abort", leave);
      this.#waiting.push(waiting);
      this.next();
    });
    if (!signal.aborted) return;
    this.leave(turn);
    throwIfAborted(signal, "the generation");
  }

  /** @internal */
  leave(turn: Turn): void {
    if (this.#holder !== turn) return;
    this.#holder = undefined;
    this.next();
  }

  /** Lets the first in line go on, if nobody works. @internal */
  next(): void {
    clearTimeout(this.#timer);
    const first = this.#waiting[0];
    if (!first) return;
    const rest = this.#holder?.restLeft(performance.now()) ?? 0;
    if (rest > 0) {
      if (Number.isFinite(rest)) this.#timer = setTimeout(() => this.next(), rest);
      return;
    }
    this.#waiting.shift();
    this.#holder = first.turn;
    first.start();
  }
}

/** Made by `Turns.take`. */
export class Turn {
  readonly #turns: Turns;
  /** When others may go on; undefined while it works. */
  #until: number | undefined;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** Does nothing for a while: after `milliseconds` others may go on. */
  rest(milliseconds: number): void {
    this.#until = performance.now() + milliseconds;
    this.#turns.next();
  }

  /** Goes on working; waits in line again if others went on. @throws AbortError */
  async resume(signal: AbortSignal): Promise<void> {
    this.#until = undefined;
    throwIfAborted(signal, "the generation");
    if (!this.#turns.holds(this)) await this.#turns.enter(this, signal);
  }

  end(): void {
    this.#turns.leave(this);
  }

  /** @internal */
  restLeft(now: number): number {
    return this.#until === undefined ? Number.POSITIVE_INFINITY : this.#until - now;
  }
}
