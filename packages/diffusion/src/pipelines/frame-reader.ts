/** The frames of a result: decoded while they are read, once. */
import { ConfigError } from "@lvsa/runtime";

export class FrameReader implements AsyncIterable<Uint8Array> {
  readonly #decode: () => AsyncGenerator<Uint8Array, void, undefined>;
  #isTaken = false;

  /** `decode` is called when reading begins. */
  constructor(decode: () => AsyncGenerator<Uint8Array, void, undefined>) {
    this.#decode = decode;
  }

  /** @throws ConfigError `FRAMES_TAKEN` the second time */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#isTaken) {
      throw new ConfigError("FRAMES_TAKEN", "the frames of this result are read already, or being read", {
        fault: "run",
        fix: "Keep the frames of the first reading, or generate again from `latents` as they are.",
      });
    }
    this.#isTaken = true;
    return this.#decode();
  }
}
