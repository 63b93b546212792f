/** Work on a pipeline: one piece after the other, each with a signal and tensors of its own, until the pipeline is disposed. */
import { ConfigError } from "@lvsa/runtime";
import { withoutUndefined } from "./generation-start.js";
import { Owned } from "./owned.js";
import { type Turn, Turns } from "./turns.js";
import type { GenerateOptions } from "./video-pipeline.js";

type Listeners = Pick<GenerateOptions, "signal" | "onStage" | "onStep" | "onTensor">;

/** One piece of work: a generation, or the decoding of its frames. */
export interface Run extends Omit<Listeners, "signal"> {
  /** Fires for the caller's signal and when the pipeline is disposed. */
  readonly signal: AbortSignal;
  /** Freed when the run ends. */
  readonly owned: Owned;
}

export class Runs {
  readonly #turns = new Turns();
  /** What is at work, with what it owns, for `dispose`. */
  readonly #running = new Map<AbortController, Owned>();
  #isDisposed = false;

  /** Runs `body` in a turn of its own, which the result keeps for its frames. @throws AbortError, as `body`, `ENGINE_DISPOSED` */
  async inTurn<T>(options: Listeners, body: (run: Run, turn: Turn) => Promise<T>): Promise<T> {
    using run = this.begin(options);
    let turn: Turn | undefined;
    try {
      turn = await this.#turns.take(run.signal);
      return await body(run, turn);
    } catch (error) {
      turn?.end();
      throw this.explained(error);
    }
  }

  /** A piece of work that ends, and frees what it owns, when it is disposed. */
  begin(options: Listeners): Run & Disposable {
    const controller = new AbortController();
    const owned = new Owned();
    const { signal } = options;
    const stop = () => controller.abort(signal?.reason);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    this.#running.set(controller, owned);
    const { onStage, onStep, onTensor } = options;
    return {
      ...withoutUndefined({ onStage, onStep, onTensor }),
      ...{ signal: controller.signal, owned },
      [Symbol.dispose]: () => {
        signal?.removeEventListener("abort", stop);
        this.#running.delete(controller);
        owned[Symbol.dispose]();
      },
    };
  }

  /** Stops what is at work and frees what it owns. */
  dispose(): void {
    this.#isDisposed = true;
    for (const [controller, owned] of this.#running) {
      controller.abort(new ConfigError("ENGINE_DISPOSED", DISPOSED, { fault: "run" }));
      owned[Symbol.dispose]();
    }
  }

  /** @throws ConfigError `ENGINE_DISPOSED` */
  requireOpen(): void {
    if (this.#isDisposed) throw disposedError();
  }

  /** After `dispose` everything that fails does so because of it. */
  explained(error: unknown): unknown {
    return this.#isDisposed ? disposedError(error) : error;
  }
}

const DISPOSED = "the engine was disposed";

function disposedError(cause?: unknown): ConfigError {
  return new ConfigError("ENGINE_DISPOSED", DISPOSED, {
    fault: "run",
    fix: "Dispose an engine after its last generation, and open another one to go on.",
    ...(cause === undefined ? {} : { cause }),
  });
}
