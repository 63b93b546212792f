/** Reads the header of a GGUF file from front to back: numbers, strings and the typed values of its metadata. */
import { quoted } from "../../printable.js";

/** Integers beyond 2^53 are bigints. Arrays hold values of one kind and no arrays. */
export type GgufValue = GgufScalar | readonly GgufScalar[];
export type GgufScalar = string | number | bigint | boolean;

/** The bytes that are there end before the header does. */
export class NeedsMore extends Error {}

/** Bytes of each type by its number in the file; strings have at least their length, arrays are apart. */
const SIZES: Readonly<Record<number, number>> = {
  ...{ 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 10: 8, 11: 8, 12: 8 },
};
/** In all arrays together: a vocabulary has a few hundred thousand, and each takes far more memory than in the file. */
const MAX_ELEMENTS = 2 ** 24;
const STRING = 8;
const ARRAY = 9;

export class GgufCursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileSize: number;
  readonly #invalid: (message: string) => Error;
  readonly #text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #position = 0;
  #elements = 0;

  /** @param bytes the start of a file of `fileSize` bytes */
  constructor(bytes: Uint8Array, fileSize: number, invalid: (message: string) => Error) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileSize = fileSize;
    this.#invalid = invalid;
  }

  get position(): number {
    return this.#position;
  }

  /** Steps over bytes and returns where they began. */
  skip(length: number): number {
    const start = this.#position;
    if (start + length > this.#bytes.length) throw new NeedsMore();
    this.#position += length;
    return start;
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  /** A 64-bit number that counts bytes or elements. */
  size(what: string): number {
    const value = this.#view.getBigUint64(this.skip(8), true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw this.#invalid(`${what} is ${value}.`);
  }

  /** How many things follow that take at least `leastBytes` each. */
  count(leastBytes: number, what: string): number {
    const count = this.size(`the number of ${what}`);
    if (count * leastBytes <= this.#fileSize) return count;
    throw this.#invalid(
      `the header claims ${count} ${what}, which a file of ${this.#fileSize} bytes has no room for.`,
    );
  }

  string(): string {
    const length = this.count(1, "bytes of a text");
    const start = this.skip(length);
    try {
      return this.#text.decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw this.#invalid(`the text at byte ${start} is not UTF-8.`);
    }
  }

  /** A value behind the number of its type. */
  value(key: string): GgufValue {
    const type = this.u32();
    if (type !== ARRAY) return this.#scalar(type, key);
    const element = this.u32();
    if (element === ARRAY) throw this.#invalid(`${quoted(key)} is an array of arrays.`);
    const least = SIZES[element];
    if (least === undefined)
      throw this.#invalid(`${quoted(key)} is an array of the unknown type ${element}.`);
    const count = this.count(least, `elements of ${quoted(key)}`);
    this.#elements += count;
    if (this.#elements > MAX_ELEMENTS)
      throw this.#invalid(
        `the arrays of the metadata have more than ${MAX_ELEMENTS} elements, up to ${quoted(key)}.`,
      );
    const values: GgufScalar[] = [];
    for (let i = 0; i < count; i++) values.push(this.#scalar(element, key));
    return values;
  }

  #scalar(type: number, key: string): GgufScalar {
    const view = this.#view;
    if (type === STRING) return this.string();
    const size = SIZES[type];
    if (size === undefined) throw this.#invalid(`${quoted(key)} has the unknown type ${type}.`);
    const at = this.skip(size);
    switch (type) {
      case 0:
        return view.getUint8(at);
      case 1:
        return view.getInt8(at);
      case 2:
        return view.getUint16(at, true);
      case 3:
        return view.getInt16(at, true);
      case 4:
        return view.getUint32(at, true);
      case 5:
        return view.getInt32(at, true);
      case 6:
        return view.getFloat32(at, true);
      case 7:
        return view.getUint8(at) !== 0;
      case 10:
        return narrowed(view.getBigUint64(at, true));
      case 11:
        return narrowed(view.getBigInt64(at, true));
      default:
        return view.getFloat64(at, true);
    }
  }
}

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
