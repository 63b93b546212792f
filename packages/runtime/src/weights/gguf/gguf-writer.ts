/** Writes the GGUF format, version 3: the header at once, so that data of any size can follow piece by piece. */
import { ConfigError } from "../../errors.js";
import { quoted } from "../../printable.js";
import type { Shape } from "../../tensor/shape.js";
import { storedByteLength } from "../safetensors-dtype.js";
import { blockType, type GgmlQuantization } from "./ggml-types.js";
import type { GgufScalar, GgufValue } from "./gguf-cursor.js";

/** Numbers of the types in the file. */
const TYPE_IDS = {
  ...{ F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14, I8: 24 },
  ...{ I16: 25, I32: 26, I64: 27, F64: 28, BF16: 30 },
} as const;

export type GgufType = keyof typeof TYPE_IDS;

export interface GgufTensorToWrite {
  readonly type: GgufType;
  /** Row-major. */
  readonly shape: Shape;
}

export interface GgufLayout {
  /** The file up to its data. */
  readonly header: Uint8Array;
  /** Where each tensor's bytes go, in the order of the file. What lies between two of them is filled with zeros. */
  readonly tensors: ReadonlyMap<string, { readonly byteOffset: number; readonly byteLength: number }>;
  /** Of the whole file. */
  readonly byteLength: number;
}

/** The usual one. */
const ALIGNMENT = 32;

/** Whether a type's blocks divide the last axis of a shape. */
export function fitsGgufType(type: GgufType, shape: Shape): boolean {
  return byteLengthOf(type, shape) !== undefined;
}

/**
 * The header of a file with these tensors, and the places of their data. Integers of the metadata are written in 32
 * bits where they fit.
 * @throws ConfigError `BAD_TENSOR` for a shape that the blocks of its type do not divide
 */
export function layOutGguf(
  tensors: Readonly<Record<string, GgufTensorToWrite>>,
  metadata: Readonly<Record<string, GgufValue>>,
): GgufLayout {
  const out = new ByteWriter();
  out.raw(new TextEncoder().encode("GGUF"));
  out.u32(3);
  out.u64(Object.keys(tensors).length);
  out.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.text(key);
    writeValue(out, value);
  }
  const places = new Map<string, { byteOffset: number; byteLength: number }>();
  let end = 0;
  for (const [name, { type, shape }] of Object.entries(tensors)) {
    const byteLength = byteLengthOf(type, shape);
    if (byteLength === undefined) {
      throw new ConfigError(
        "BAD_TENSOR",
        `tensor ${quoted(name)} [${shape.join(", ")}] is not made of whole blocks of ${type}.`,
      );
    }
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    out.text(name);
    out.u32(shape.length);
    for (const size of shape.slice().reverse()) out.u64(size);
    out.u32(TYPE_IDS[type]);
    out.u64(offset);
    places.set(name, { byteOffset: offset, byteLength });
    end = offset + byteLength;
  }
  const dataOffset = Math.ceil(out.length / ALIGNMENT) * ALIGNMENT;
  out.raw(new Uint8Array(dataOffset - out.length));
  return {
    header: out.bytes(),
    tensors: new Map(
      [...places].map(([name, place]) => [name, { ...place, byteOffset: dataOffset + place.byteOffset }]),
    ),
    byteLength: dataOffset + Math.ceil(end / ALIGNMENT) * ALIGNMENT,
  };
}

/** A whole small file, for tests. `data` holds each tensor's stored bytes. */
export function encodeGguf(
  tensors: Readonly<Record<string, GgufTensorToWrite & { readonly data: ArrayBufferView }>>,
  metadata: Readonly<Record<string, GgufValue>> = {},
): Uint8Array {
  const layout = layOutGguf(tensors, metadata);
  const file = new Uint8Array(layout.byteLength);
  file.set(layout.header);
  for (const [name, { byteOffset, byteLength }] of layout.tensors) {
    const { data } = tensors[name]!;
    if (data.byteLength !== byteLength) {
      throw new ConfigError(
        "BAD_TENSOR",
        `tensor ${quoted(name)} takes ${byteLength} bytes, ${data.byteLength} were given.`,
      );
    }
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), byteOffset);
  }
  return file;
}

function byteLengthOf(type: GgufType, shape: Shape): number | undefined {
  if (!/^I?Q/.test(type)) return storedByteLength(type as Exclude<GgufType, GgmlQuantization>, shape);
  const { elements, bytes } = blockType(type as GgmlQuantization);
  const last = shape.at(-1) ?? 1;
  if (last % elements !== 0) return undefined;
  return storedByteLength("U8", [...shape.slice(0, -1), last / elements, bytes]);
}

function writeValue(out: ByteWriter, value: GgufValue): void {
  if (!Array.isArray(value)) {
    const type = typeOf([value as GgufScalar]);
    out.u32(type);
    out.scalar(type, value as GgufScalar);
    return;
  }
  const type = typeOf(value);
  out.u32(9);
  out.u32(type);
  out.u64(value.length);
  for (const one of value) out.scalar(type, one);
}

/** The number of the narrowest type that holds all values: u32, i32, f32, bool, string, u64, i64. */
function typeOf(values: readonly GgufScalar[]): number {
  if (values.every((value) => typeof value === "string")) return 8;
  if (values.every((value) => typeof value === "boolean")) return 7;
  if (values.some((value) => typeof value === "string" || typeof value === "boolean"))
    throw new ConfigError("BAD_TENSOR", "an array of the metadata mixes kinds of values.");
  const numbers = values as readonly (number | bigint)[];
  if (numbers.some((value) => typeof value === "number" && !Number.isInteger(value))) return 6;
  const [least, most] = [-(2 ** 31), 2 ** 32];
  if (numbers.every((value) => value >= 0 && value < most)) return 4;
  if (numbers.every((value) => value >= least && value < 2 ** 31)) return 5;
  return numbers.every((value) => value >= 0) ? 10 : 11;
}

class ByteWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #encoder = new TextEncoder();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#length += bytes.length;
  }

  u32(value: number): void {
    this.#number(4, (view) => view.setUint32(0, value, true));
  }

  u64(value: number | bigint): void {
    this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  text(text: string): void {
    const bytes = this.#encoder.encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  scalar(type: number, value: GgufScalar): void {
    if (type === 8) this.text(value as string);
    else if (type === 7) this.raw(Uint8Array.of(value ? 1 : 0));
    else if (type === 6) this.#number(4, (view) => view.setFloat32(0, Number(value), true));
    else if (type === 5) this.#number(4, (view) => view.setInt32(0, Number(value), true));
    else if (type === 4) this.u32(Number(value));
    else if (type === 10) this.u64(value as number | bigint);
    else this.#number(8, (view) => view.setBigInt64(0, BigInt(value as number | bigint), true));
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  #number(size: number, write: (view: DataView) => void): void {
    const bytes = new Uint8Array(size);
    write(new DataView(bytes.buffer));
    this.raw(bytes);
  }
}
