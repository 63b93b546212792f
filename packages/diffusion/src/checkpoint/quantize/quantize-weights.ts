/** A component's weights in a quantized format: which tensors become what, and the file's bytes in order. */
import {
  encodeFloats,
  type GgufType,
  layOutSafetensors,
  quantizeE4M3,
  quantizeQ4_K,
  quantizeQ8_0,
  type SafetensorsDType,
  throwIfAborted,
  type WeightSource,
  widen,
} from "@lvsa/runtime";
import { fitsGgufType, layOutGguf } from "@lvsa/runtime/gguf";
import type { ModelDefinition } from "../../models/definition/define-model.js";
import { elementCount } from "../../models/definition/parameter-list.js";

/** Formats that matrices are written in. fp8 is E4M3 with a scale per row. */
export type QuantizedFormat = "q8_0" | "q4_K" | "fp8";

/** Takes the bytes of a file, wherever they belong. */
export type WriteAt = (bytes: Uint8Array, byteOffset: number) => Promise<void>;

export interface QuantizeOptions {
  readonly signal?: AbortSignal;
  /** Hears of tensors written so far. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface QuantizedFile {
  /** Ending of the file's name. */
  readonly extension: "gguf" | "safetensors";
  readonly byteLength: number;
  /** Matrices that are quantized; the others stay as they are stored. */
  readonly quantized: readonly string[];
  write(writeAt: WriteAt, options?: QuantizeOptions): Promise<void>;
}

/** Bytes of floats worked on at a time. */
const CHUNK_BYTES = 2 ** 24;

/**
 * @param source plain floats under the class's names; the caller closes it
 * @param config of the component, for which of its tensors `linear` alone reads
 */
export function quantizedFile(
  definition: ModelDefinition,
  config: unknown,
  source: WeightSource,
  format: QuantizedFormat,
): QuantizedFile {
  const linear = new Set(
    definition.parameters(config).flatMap(({ name, isLinear }) => (isLinear ? [name] : [])),
  );
  return format === "fp8" ? fp8File(source, linear) : ggufFile(source, linear, format);
}

const PLAIN = new Set<string>(["F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"]);

function ggufFile(source: WeightSource, linear: ReadonlySet<string>, format: "q8_0" | "q4_K"): QuantizedFile {
  const typeOf = (name: string): GgufType => {
    const { dtype, shape } = source.info(name);
    if (linear.has(name)) {
      if (format === "q4_K" && fitsGgufType("Q4_K", shape)) return "Q4_K";
      if (fitsGgufType("Q8_0", shape)) return "Q8_0";
    }
    return PLAIN.has(dtype) ? (dtype as GgufType) : "F32";
  };
  const names = source.names();
  const types = new Map(names.map((name) => [name, typeOf(name)]));
  const layout = layOutGguf(
    Object.fromEntries(
      names.map((name) => [name, { type: types.get(name)!, shape: source.info(name).shape }]),
    ),
    { "general.architecture": "diffusers", "general.quantization_version": 2 },
  );
  const convert = { Q8_0: quantizeQ8_0, Q4_K: quantizeQ4_K } as const;
  return {
    ...{ extension: "gguf", byteLength: layout.byteLength },
    quantized: names.filter((name) => types.get(name)!.startsWith("Q")),
    write: async (writeAt, { signal, onProgress } = {}) => {
      await writeAt(layout.header, 0);
      for (const [done, [name, { byteOffset, byteLength }]] of [...layout.tensors].entries()) {
        throwIfAborted(signal, "quantizing");
        const type = types.get(name)!;
        const quantize = convert[type as keyof typeof convert];
        let at = byteOffset;
        const put = async (bytes: Uint8Array) => {
          await writeAt(bytes, at);
          at += bytes.length;
        };
        if (quantize) await forEachRows(source, name, async (values) => put(quantize(values)));
        else if (type === source.info(name).dtype) {
          await source.stream(name, CHUNK_BYTES, (chunk) => put(chunk));
        } else await forEachRows(source, name, async (values) => put(encodeFloats(values, "f32")));
        onProgress?.(done + 1, names.length);
        // Up to the next multiple of the alignment, the end of the file included.
        const rest = (32 - (byteLength % 32)) % 32;
        if (rest > 0) await put(new Uint8Array(rest));
      }
    },
  };
}

function fp8File(source: WeightSource, linear: ReadonlySet<string>): QuantizedFile {
  const names = source.names();
  const isCodes = (name: string) => linear.has(name) && source.info(name).shape.length === 2;
  const scaleName = (name: string) => `${name}_scale`;
  const tensors: Record<string, { dtype: SafetensorsDType; shape: readonly number[] }> = {};
  for (const name of names) {
    const { dtype, shape } = source.info(name);
    tensors[name] = { dtype: isCodes(name) ? "F8_E4M3" : dtype, shape };
    if (isCodes(name)) tensors[scaleName(name)] = { dtype: "F32", shape: [shape[0]!] };
  }
  const layout = layOutSafetensors(tensors, { format: "pt" });
  return {
    ...{ extension: "safetensors", byteLength: layout.byteLength, quantized: names.filter(isCodes) },
    write: async (writeAt, { signal, onProgress } = {}) => {
      await writeAt(layout.header, 0);
      for (const [done, name] of names.entries()) {
        throwIfAborted(signal, "quantizing");
        let at = layout.tensors.get(name)!.byteOffset;
        const put = async (bytes: Uint8Array) => {
          await writeAt(bytes, at);
          at += bytes.length;
        };
        if (isCodes(name)) {
          const columns = source.info(name).shape[1]!;
          const scales: number[] = [];
          await forEachRows(source, name, async (values) => {
            const codes = new Uint8Array(values.length);
            for (let row = 0; row < values.length; row += columns) {
              const one = quantizeE4M3(values.subarray(row, row + columns));
              codes.set(one.codes, row);
              scales.push(one.scale);
            }
            await put(codes);
          });
          await writeAt(encodeFloats(scales, "f32"), layout.tensors.get(scaleName(name))!.byteOffset);
        } else await source.stream(name, CHUNK_BYTES, (chunk) => put(chunk));
        onProgress?.(done + 1, names.length);
      }
    },
  };
}

/** Whole rows of a tensor as floats, as many at a time as fit into a chunk. */
async function forEachRows(
  source: WeightSource,
  name: string,
  body: (values: Float32Array) => Promise<void>,
): Promise<void> {
  const { dtype, shape, byteLength } = source.info(name);
  const rows = shape[0] ?? 1;
  const rowBytes = byteLength / Math.max(1, rows);
  if (elementCount(shape) === 0) return;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const bytes = await source.read(name, { byteOffset: row * rowBytes, byteLength: count * rowBytes });
    await body(Float32Array.from(widen(bytes, dtype, name)));
  }
}
