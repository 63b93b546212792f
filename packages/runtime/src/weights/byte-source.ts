/** Random access to the bytes of one file, wherever it lies. The weights code reads through this alone. */
import { ConfigError } from "../errors.js";
import { readFailed, weightsError } from "./header.js";

export interface ByteSource {
  /** File name or address, for messages. */
  readonly name: string;
  /** Bytes in the file. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`. They are written to the start of `into` when it is given, and the result
   * is a view of it; else the result is a new array that belongs to the caller.
   * @throws WeightsError `TRUNCATED` beyond the end, `READ_FAILED`
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Frees the file. Reading afterwards fails. */
  close(): Promise<void>;
}

/** Checks a request against the size of the source and gives the array that the bytes go to. */
export function readTarget(
  source: { readonly name: string; readonly size: number },
  offset: number,
  length: number,
  into: Uint8Array | undefined,
): Uint8Array {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw weightsError(
      "TRUNCATED",
      `bytes ${offset} to ${offset + length} were asked for, the file ends at byte ${source.size}.`,
      { where: source.name, fix: "Download the file again." },
    );
  }
  if (into) {
    if (into.length >= length) return into.subarray(0, length);
    throw new ConfigError("BUFFER_TOO_SMALL", `${length} bytes do not fit into a buffer of ${into.length}.`, {
      fault: "run",
    });
  }
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw weightsError("TOO_LARGE", `${length} bytes do not fit into one array.`, {
      where: source.name,
      fix: "Read a smaller range, or use `stream`.",
      cause,
    });
  }
}

/** Bytes that are in memory already. They are not copied here, only when read. */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length, into) {
      const target = readTarget(this, offset, length, into);
      target.set(bytes.subarray(offset, offset + length));
      return target;
    },
    async close() {},
  };
}

/** A `Blob` or a `File` that a user picked in the browser. */
export function blobSource(blob: Blob, name = "name" in blob ? String(blob.name) : "blob"): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length, into) {
      const target = readTarget(this, offset, length, into);
      try {
        target.set(new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()));
      } catch (cause) {
        throw readFailed(`the browser can not read the file: ${text(cause)}`, {
          where: name,
          fix: "Pick the file again; it was moved, changed or deleted.",
          cause,
        });
      }
      return target;
    },
    async close() {},
  };
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
