/** A model's weights on the GPU, by their names in the checkpoint. */
import {
  type Device,
  elementCount,
  formatShape,
  type Shape,
  sameShape,
  type Tensor,
  uploadTensor,
  WeightsError,
  type WeightSource,
} from "@lvsa/runtime";

export interface LoadOptions {
  /** Load only names that start with this; it is stripped from the names in the store. */
  readonly prefix?: string;
  /** Load only these names (after stripping). */
  readonly only?: (name: string) => boolean;
  readonly signal?: AbortSignal;
  /** Hears of bytes loaded so far. */
  readonly onProgress?: (loadedBytes: number) => void;
}

/** Pinned tensors by name. `dispose` frees them. */
export class Parameters {
  readonly device: Device;
  readonly #tensors: Map<string, Tensor>;
  readonly #prefix: string;

  constructor(device: Device, tensors: Map<string, Tensor>, prefix = "") {
    this.device = device;
    this.#tensors = tensors;
    this.#prefix = prefix;
  }

  /** The tensor `name`, checked against `shape` when that is given. */
  get(name: string, shape?: Shape): Tensor {
    const tensor = this.optional(name);
    if (!tensor) {
      throw new WeightsError("MISSING_TENSOR", `the weights have no tensor ${this.#prefix}${name}`, {
        fix: "The checkpoint is incomplete or of another class than its config.json says.",
      });
    }
    if (shape && !sameShape(tensor.shape, shape)) {
      throw new WeightsError(
        "WRONG_SHAPE",
        `tensor ${this.#prefix}${name} is ${formatShape(tensor.shape)}, the config asks for ${formatShape(shape)}`,
        { fix: "The weights and config.json do not belong together." },
      );
    }
    return tensor;
  }

  optional(name: string): Tensor | undefined {
    return this.#tensors.get(this.#prefix + name);
  }

  /** The same store under a longer prefix, e.g. `blocks.3.`. */
  scoped(prefix: string): Parameters {
    return new Parameters(this.device, this.#tensors, this.#prefix + prefix);
  }

  /** Puts a derived tensor (a repacked weight) in place of a stored one and frees that. */
  replace(name: string, tensor: Tensor): void {
    this.#tensors.get(this.#prefix + name)?.dispose();
    this.#tensors.set(this.#prefix + name, tensor);
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
  }
}

/**
 * Streams weights to the GPU as they are stored; vectors (biases, norms, tables) are widened to f32 on the way,
 * which is exact and costs next to nothing.
 */
export async function loadParameters(
  device: Device,
  source: WeightSource,
  options: LoadOptions = {},
): Promise<Parameters> {
  const prefix = options.prefix ?? "";
  const tensors = new Map<string, Tensor>();
  let loaded = 0;
  try {
    for (const stored of source.names()) {
      if (!stored.startsWith(prefix)) continue;
      const name = stored.slice(prefix.length);
      if (options.only && !options.only(name)) continue;
      options.signal?.throwIfAborted();
      const info = source.info(stored);
      const isVector = info.shape.length <= 1 || elementCount(info.shape) <= VECTOR_ELEMENTS;
      tensors.set(name, await uploadTensor(device, source, stored, isVector ? { dtype: "f32" } : {}));
      loaded += info.byteLength;
      options.onProgress?.(loaded);
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  }
  return new Parameters(device, tensors);
}

/** Tensors up to this size are widened to f32: modulation tables and the like. */
const VECTOR_ELEMENTS = 65_536;
