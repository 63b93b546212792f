/** Small parts of weights on the CPU. */
import { decodeFloats, type FloatDType, namingTensor, type WeightSource, WeightsError } from "@lvsa/runtime";

/** A whole tensor as f32 numbers on the CPU; for small ones. */
export async function readFloats(source: WeightSource, name: string): Promise<Float32Array> {
  return namingTensor(source, name, async () =>
    decodeFloats(await source.read(name), floatDType(source, name)),
  );
}

/**
 * Rows `ids` of an embedding table `[V, C]`, read from the file row by row, so that a table of gigabytes is never
 * loaded. Returns `[ids.length, C]`.
 */
export function embeddingRows(
  source: WeightSource,
  name: string,
  ids: ArrayLike<number>,
): Promise<Float32Array> {
  return namingTensor(source, name, () => rowsOf(source, name, ids));
}

async function rowsOf(source: WeightSource, name: string, ids: ArrayLike<number>): Promise<Float32Array> {
  const { shape, byteLength } = source.info(name);
  const [vocabulary, width] = shape as readonly [number, number];
  const rowBytes = byteLength / vocabulary;
  const dtype = floatDType(source, name);
  const out = new Float32Array(ids.length * width);
  const rows = new Map<number, Float32Array>();
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!(Number.isInteger(id) && id >= 0 && id < vocabulary)) {
      throw new WeightsError("BAD_TOKEN_ID", `token id ${id} is outside of ${name} with ${vocabulary} rows`, {
        fix: "Tokenizer and text encoder do not belong together.",
      });
    }
    let row = rows.get(id);
    if (!row) {
      row = decodeFloats(await source.read(name, { byteOffset: id * rowBytes, byteLength: rowBytes }), dtype);
      rows.set(id, row);
    }
    out.set(row, i * width);
  }
  return out;
}

function floatDType(source: WeightSource, name: string): FloatDType {
  const { dtype } = source.info(name);
  const types: Readonly<Record<string, FloatDType>> = { F32: "f32", F16: "f16", BF16: "bf16" };
  const found = types[dtype];
  if (!found) throw new WeightsError("WRONG_DTYPE", `tensor ${name} is ${dtype}, expected F32, F16 or BF16`);
  return found;
}
