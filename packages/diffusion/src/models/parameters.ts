/** A model's weights on the GPU, by their names in the checkpoint. */
import {
  type Device,
  namingTensor,
  type Tensor,
  throwIfAborted,
  type UploadOptions,
  uploadMerged,
  uploadPacked,
  uploadTensor,
  type WeightSource,
  WeightsError,
  widen,
} from "@lvsa/runtime";
import type { ModelWeights } from "./definition/model-weights.js";
import { isSmallTensor } from "./definition/parameter-list.js";

export interface LoadOptions {
  /** Load only names that start with this; it is stripped from the names in the store. */
  readonly prefix?: string;
  /** Load only these names (after stripping). */
  readonly only?: (name: string) => boolean;
  /** For layers that come and go: their memory is pooled, so that the next layer takes it over. Default false. */
  readonly isStreamed?: boolean;
  /** Memory to write to instead of new tensors; the store does not own it then. See `UploadOptions`. */
  readonly allocate?: UploadOptions["allocate"];
  /** Of a transformer: its blocks come when they are run, two at a time, from a source that stays open. */
  readonly offload?: BlockOffload | undefined;
  readonly signal?: AbortSignal;
  /** Hears of bytes loaded so far, of all that `prefix` and `only` select. */
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void;
}

/** How a transformer's blocks come and go while it runs. */
export interface BlockOffload {
  /** Bytes of blocks, as they are uploaded, that are kept in host memory once they were read. Default 0: none. */
  readonly cacheBytes?: number;
  /** Whether the next block is read while the GPU works; default true. Weights that lie in memory need no reading. */
  readonly readsAhead?: boolean;
}

/**
 * Pinned tensors by name. A store may be empty at first (`new Parameters(device)`): models are built over it, and
 * `load` fills it when they are about to run. `unload` frees it and it can be loaded again.
 */
export class Parameters {
  readonly device: Device;
  readonly #tensors: Map<string, Tensor>;
  readonly #prefix: string;

  constructor(device: Device, tensors: Map<string, Tensor> = new Map(), prefix = "") {
    this.device = device;
    this.#tensors = tensors;
    this.#prefix = prefix;
  }

  get isLoaded(): boolean {
    return this.#tensors.size > 0;
  }

  get(name: string): Tensor {
    const tensor = this.optional(name);
    if (!tensor) {
      throw new WeightsError("MISSING_TENSOR", `the weights have no tensor ${this.#prefix}${name}`, {
        fix: "The checkpoint is incomplete or of another class than its config.json says.",
      });
    }
    return tensor;
  }

  optional(name: string): Tensor | undefined {
    return this.#tensors.get(this.#prefix + name);
  }

  /** Names and tensors under this store's prefix, as they are now. */
  entries(): readonly (readonly [name: string, tensor: Tensor])[] {
    return [...this.#tensors]
      .filter(([name]) => name.startsWith(this.#prefix))
      .map(([name, tensor]) => [name.slice(this.#prefix.length), tensor]);
  }

  /** The same store under a longer prefix, e.g. `blocks.3.`. */
  scoped(prefix: string): Parameters {
    return new Parameters(this.device, this.#tensors, this.#prefix + prefix);
  }

  /** Frees a tensor that is not needed any more, e.g. a weight that was repacked. */
  remove(name: string): void {
    this.#tensors.get(this.#prefix + name)?.dispose();
    this.#tensors.delete(this.#prefix + name);
  }

  /**
   * Streams weights to the GPU as they are stored, quantized matrices of linear layers included; vectors (biases, norms, tables) are widened to f32 on the way,
   * which is exact and costs next to nothing. The store has all of them at the end, or after an error none.
   *
   * @throws WeightsError as `uploadTensor`; AbortError
   */
  async load(source: WeightSource, options: LoadOptions = {}): Promise<void> {
    const { prefix = "", only, signal, allocate } = options;
    const pinned = options.isStreamed !== true;
    const selected = source
      .names()
      .filter((name) => name.startsWith(prefix) && (only?.(name.slice(prefix.length)) ?? true));
    const total = selected.reduce((sum, name) => sum + source.info(name).byteLength, 0);
    const made = new Map<string, Tensor>();
    let loaded = 0;
    try {
      for (const stored of selected) {
        throwIfAborted(signal, "loading the weights");
        const info = source.info(stored);
        const how = { pinned, ...(signal ? { signal } : {}), ...(allocate ? { allocate } : {}) };
        const tensor = isSmallTensor(info.shape)
          ? await uploadWidened(this.device, source, stored, how)
          : ((await uploadMerged(this.device, source, stored, how)) ??
            (await uploadPacked(this.device, source, stored, how)) ??
            (await uploadTensor(this.device, source, stored, how)));
        made.set(this.#prefix + stored.slice(prefix.length), tensor);
        loaded += info.byteLength;
        options.onProgress?.(loaded, total);
      }
      throwIfAborted(signal, "loading the weights");
    } catch (error) {
      if (!allocate) for (const tensor of made.values()) tensor.dispose();
      throw error;
    }
    for (const [name, tensor] of made) {
      this.#tensors.get(name)?.dispose();
      this.#tensors.set(name, tensor);
    }
  }

  /** Forgets the tensors whose names start with `prefix`, which are somebody else's. */
  forget(prefix: string): void {
    for (const name of [...this.#tensors.keys()]) {
      if (name.startsWith(this.#prefix + prefix)) this.#tensors.delete(name);
    }
  }

  /** Frees all tensors of the store, whatever the prefix. */
  unload(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
  }

  dispose(): void {
    this.unload();
  }

  [Symbol.dispose](): void {
    this.unload();
  }
}

/** A loaded store. */
export async function loadParameters(
  device: Device,
  source: ModelWeights,
  options: LoadOptions = {},
): Promise<Parameters> {
  const parameters = new Parameters(device);
  await parameters.load(source, options);
  return parameters;
}

/** A small tensor as f32. */
function uploadWidened(
  device: Device,
  source: WeightSource,
  name: string,
  { pinned, allocate }: Pick<UploadOptions, "pinned" | "allocate">,
): Promise<Tensor> {
  return namingTensor(source, name, async () => {
    const { dtype, shape } = source.info(name);
    const values = widen(await source.read(name), dtype, name);
    const tensor =
      allocate?.(shape, "f32", name) ?? device.empty(shape, "f32", { pinned: pinned ?? true, label: name });
    device.write(tensor, values);
    return tensor;
  });
}
