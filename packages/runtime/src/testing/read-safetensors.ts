/** Reads a whole safetensors file for tests: golden inputs and outputs. */
import { readFile } from "node:fs/promises";
import { HEADER_PREFIX_BYTES, parseHeader, parseHeaderLength } from "../weights/header.js";
import type { SafetensorsDType } from "../weights/safetensors-dtype.js";
import { type WidenedData, widen } from "../weights/widen.js";

export interface GoldenTensor<Data extends WidenedData = WidenedData> {
  /** As stored in the file. */
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Floats as `Float32Array`, integers as `Int32Array`, U8 and BOOL as `Uint8Array`. */
  readonly data: Data;
  /** Only for F64: the exact values, which `data` rounds. */
  readonly float64?: Float64Array;
}

export type GoldenTensors = Record<string, GoldenTensor>;

/** Every tensor of the file by name. F16 and BF16 are widened exactly, F64 is rounded to f32. */
export async function readSafetensors(path: string): Promise<GoldenTensors> {
  const file = await readFile(path);
  const jsonLength = parseHeaderLength(file.subarray(0, HEADER_PREFIX_BYTES), file.length, path);
  const json = file.subarray(HEADER_PREFIX_BYTES, HEADER_PREFIX_BYTES + jsonLength);
  const tensors: GoldenTensors = {};
  for (const [name, entry] of parseHeader(json, file.length, path).tensors) {
    const bytes = file.subarray(entry.byteOffset, entry.byteOffset + entry.byteLength);
    const data = widen(bytes, entry.dtype, name);
    const { dtype, shape } = entry;
    tensors[name] =
      dtype === "F64"
        ? { dtype, shape, data, float64: new Float64Array(new Uint8Array(bytes).buffer) }
        : { dtype, shape, data };
  }
  return tensors;
}

/** The named float tensor. Throws an error that lists what the file has when it is not there. */
export function floatTensor(tensors: GoldenTensors, name: string): GoldenTensor<Float32Array> {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`no tensor "${name}"; there are ${Object.keys(tensors).join(", ")}`);
  if (!(tensor.data instanceof Float32Array))
    throw new Error(`tensor "${name}" is ${tensor.dtype}, not a float`);
  return tensor as GoldenTensor<Float32Array>;
}
