/** How large a file may be that is read whole. A checkpoint comes from anyone, and a text of gigabytes is none. */
import { weightsError } from "./header.js";

/**
 * Bytes that a file read whole may have, by its name: tokenizers have tens of megabytes, configurations, templates and
 * indexes far less.
 */
export function largestFile(path: string): number {
  return /(^|\/)(tokenizer|vocab)\.json$|\.model$|merges\.txt$/.test(path) ? 256 * 2 ** 20 : 16 * 2 ** 20;
}

/** @param bytes its size, where that is known before it is read */
export function tooLarge(name: string, maxBytes: number, bytes?: number): Error {
  return weightsError(
    "TOO_LARGE",
    `the file has ${bytes ?? `more than ${maxBytes}`} bytes; at most ${maxBytes} are read of one of its kind.`,
    { where: name, fix: "Download the checkpoint again; the file is damaged or another one." },
  );
}
