/** Where the writers put their bytes: memory, a file, a network stream. */

/** Takes bytes at a position of the output. Containers go back to fill in what they know only at the end. */
export interface ByteSink {
  write(data: Uint8Array, position: number): void | Promise<void>;
}

/** Collects an output in memory. */
export class MemorySink implements ByteSink {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;

  write(data: Uint8Array, position: number): void {
    const end = position + data.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(data, position);
    this.#length = Math.max(this.#length, end);
  }

  /** A copy of everything written so far. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Appends to a sink. */
export class SequentialWriter {
  #position = 0;
  readonly #sink: ByteSink;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  async append(data: Uint8Array): Promise<void> {
    const position = this.#position;
    this.#position += data.length;
    await this.#sink.write(data, position);
  }
}
