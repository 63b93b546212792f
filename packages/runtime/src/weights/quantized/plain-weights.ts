/**
 * Weights as a model knows them: tensors that a file keeps as 8-bit codes, with scales beside them, are presented as
 * plain floats under their plain names. Scales are applied when the codes are read.
 */

import { quoted } from "../../printable.js";
import {
  NUMBERS_AT_A_TIME,
  readConverted,
  roundedTo,
  SCALED_BYTES,
  type ScaledDType,
  streamConverted,
} from "../converted-tensor.js";
import { weightsError } from "../header.js";
import { packCodes } from "../packed/packed-blocks.js";
import { missingTensor, PrefixedWeights } from "../weight-names.js";
import type { ByteRange, OnChunk, PackedTensor, TensorInfo, WeightSource } from "../weight-source.js";
import { widen } from "../widen.js";
import { type CodeDType, codeValues, float8AsBfloat16 } from "./codes.js";
import { checkComfyFormats } from "./comfy-formats.js";
import { findQuantized, type QuantizedLayout, type QuantizedTensor } from "./find-quantized.js";
import type { QuantizationConfig } from "./refuse-config.js";
import { refuseByNames } from "./refuse-names.js";
import { applyScales } from "./scale-grid.js";

export interface PlainWeightsOptions extends QuantizationConfig {
  /**
   * Type of tensors that have scales. Default F32, to which code times scale is rounded as any program does it; the
   * others take half the memory and round once more. A cast without scales is always BF16, which is exact.
   */
  readonly scaledDType?: ScaledDType;
}

/**
 * `source` with plain tensors only; `source` itself where it has no others. Owns it from here on: closing the result
 * closes it. Applies: 8-bit floats (E4M3, E5M2) and integers, with scales per tensor, row, column or block, named
 * `scale_weight`, `weight_scale`, `weight_scale_inv` or `SCB`, or in quanto's layout. Scales of activations are left
 * out: products are not computed in 8 bits here. Integers under `weight_scale` need `method` or a note in the file: some
 * tools keep the largest magnitude there, and some that by 127.
 * @throws WeightsError `UNSUPPORTED_QUANTIZATION`, `ADAPTER_IN_WEIGHTS`
 */
export async function plainWeights(
  source: WeightSource,
  options: PlainWeightsOptions = {},
): Promise<WeightSource> {
  refuseByNames(source);
  const noted = await checkComfyFormats(source);
  const layout = findQuantized(
    source,
    options.block,
    (layer) => options.method !== undefined || noted.has(layer),
  );
  const hidden = new Set(layout.hidden);
  for (const [name, plain] of layout.besidePlain) {
    await requireOnes(source, name, plain);
    hidden.add(name);
  }
  if (layout.tensors.size === 0 && hidden.size === 0) return source;
  return new PlainWeights(source, { ...layout, hidden }, options.scaledDType ?? "F32");
}

async function requireOnes(source: WeightSource, name: string, plain: string): Promise<void> {
  const { dtype, file, byteLength } = source.info(name);
  const isScale = /^(F32|F16|BF16|F64)$/.test(dtype) && byteLength <= 2 ** 20;
  if (isScale && widen(await source.read(name), dtype, name).every((value) => value === 1)) return;
  throw weightsError(
    "UNSUPPORTED_QUANTIZATION",
    `there are scales ${quoted(name)} for ${quoted(plain)}, which is stored as ${source.info(plain).dtype} and needs none.`,
    { where: file, fix: "Use the weights as they were saved: a tensor was converted without its scales." },
  );
}

/** Codes under one scale in the packed form. */
const RUN = 64;

class PlainWeights implements WeightSource {
  readonly metadata: Readonly<Record<string, string>>;
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly #source: WeightSource;
  readonly #tensors: ReadonlyMap<string, QuantizedTensor>;
  readonly #names: readonly string[];
  readonly #present: ReadonlySet<string>;
  readonly #scaled: ScaledDType;
  readonly #scales = new Map<string, Float32Array>();

  constructor(source: WeightSource, { tensors, hidden }: QuantizedLayout, scaled: ScaledDType) {
    this.#source = source;
    this.#tensors = tensors;
    this.#scaled = scaled;
    this.metadata = source.metadata;
    const plainNames = new Map([...tensors].map(([plain, { codes }]) => [codes, plain]));
    this.#names = source
      .names()
      .filter((name) => !hidden.has(name))
      .map((name) => plainNames.get(name) ?? name);
    this.#present = new Set(this.#names);
    const infos = this.#names.map((name) => this.info(name));
    this.totalBytes = infos.reduce((sum, info) => sum + info.byteLength, 0);
    this.parameterCount = infos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  names(): string[] {
    return [...this.#names];
  }

  has(name: string): boolean {
    return this.#present.has(name);
  }

  info(name: string): TensorInfo {
    const tensor = this.#tensors.get(name);
    if (!tensor) {
      if (this.#present.has(name)) return this.#source.info(name);
      const files = new Set(this.#names.map((one) => this.#source.info(this.#codesOf(one)).file));
      throw missingTensor(name, this.#names, [...files].join(", "));
    }
    const stored = this.#source.info(tensor.codes);
    const dtype = this.#dtypeOf(tensor);
    return {
      ...{
        dtype,
        shape: tensor.shape,
        byteLength: stored.byteLength * SCALED_BYTES[dtype],
        file: stored.file,
      },
      stored: { dtype: stored.dtype, byteLength: stored.byteLength },
    };
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    const tensor = this.#tensors.get(name);
    if (!tensor) return this.#source.read(this.#known(name), range);
    return readConverted(await this.#converted(name, tensor), range);
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    const tensor = this.#tensors.get(name);
    if (!tensor) return this.#source.stream(this.#known(name), chunkBytes, onChunk, range);
    return streamConverted(await this.#converted(name, tensor), chunkBytes, onChunk, range);
  }

  /** Matrices of 8-bit floats in which a run of 64 codes has one scale. */
  packed(name: string): PackedTensor | undefined {
    const tensor = this.#tensors.get(name);
    const { shape } = this.info(name);
    if (!tensor) return this.#source.packed?.(name);
    const { dtype: codes, scale, codes: stored } = tensor;
    const dtype = codes === "F8_E4M3" ? "f8_e4m3" : codes === "F8_E5M2" ? "f8_e5m2" : undefined;
    const [rows = 0, columns = 0] = shape;
    if (dtype === undefined || shape.length !== 2 || columns % RUN !== 0) return undefined;
    const grid = scale?.grid;
    if (grid && grid.blockColumns % RUN !== 0 && grid.blockColumns < grid.columns) return undefined;
    if (scale && scale.divisor !== 1) return undefined;
    return {
      ...{ dtype, byteLength: (rows * columns * 68) / RUN },
      stream: async (chunkBytes, onChunk) => {
        const scales = scale ? await this.#readScale(scale.name) : undefined;
        const scaleOf = (run: number) => {
          if (!grid || !scales) return 1;
          const row = Math.floor((run * RUN) / grid.columns);
          const block = Math.floor((run * RUN - row * grid.columns) / grid.blockColumns);
          return scales[Math.floor(row / grid.blockRows) * grid.across + block]!;
        };
        // Streams come in multiples of 24; 192 is one of the runs too.
        const step = Math.max(192, Math.floor(chunkBytes / 192) * 192);
        await this.#source.stream(stored, step, (bytes, at) =>
          onChunk(packCodes(bytes, scaleOf, at), (at / RUN) * 68),
        );
      },
    };
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {
    this.#scales.clear();
    await this.#source.close();
  }

  #codesOf(name: string): string {
    return this.#tensors.get(name)?.codes ?? name;
  }

  #dtypeOf(tensor: QuantizedTensor): ScaledDType {
    return tensor.scale ? this.#scaled : "BF16";
  }

  /** A name that is presented: what is hidden can not be read. */
  #known(name: string): string {
    this.info(name);
    return name;
  }

  /** Codes to their plain type, one number for each. */
  async #converted(name: string, { dtype: codes, scale, codes: stored, shape }: QuantizedTensor) {
    const common = {
      ...{ name, count: shape.reduce((a, b) => a * b, 1), block: { elements: 1, bytes: 1 } },
      stream: (chunkBytes: number, onChunk: OnChunk, range: ByteRange) =>
        this.#source.stream(stored, chunkBytes, onChunk, range),
    };
    if (!scale) {
      const table = float8AsBfloat16(codes as Exclude<CodeDType, "I8">);
      return {
        ...{ ...common, dtype: "BF16" as const },
        convert: (bytes: Uint8Array) => {
          const halves = new Uint16Array(bytes.length);
          for (let i = 0; i < bytes.length; i++) halves[i] = table[bytes[i]!]!;
          return new Uint8Array(halves.buffer);
        },
      };
    }
    const values = codeValues(codes);
    const scales = await this.#readScale(scale.name);
    const { file } = this.#source.info(stored);
    const floats = new Float32Array(NUMBERS_AT_A_TIME);
    return {
      ...{ ...common, dtype: this.#scaled },
      convert: (bytes: Uint8Array, first: number) => {
        const out = floats.subarray(0, bytes.length);
        applyScales(bytes, first, values, scales, scale.divisor, scale.grid, out);
        return roundedTo(this.#scaled, out, first, { name, file });
      },
    };
  }

  /** Scales are small and asked for again each time that a layer is read. */
  async #readScale(name: string): Promise<Float32Array> {
    const known = this.#scales.get(name);
    if (known) return known;
    const { dtype } = this.#source.info(name);
    const scales = widen(await this.#source.read(name), dtype, name) as Float32Array;
    this.#scales.set(name, scales);
    return scales;
  }
}
