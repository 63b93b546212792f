/** Where the weights of a transformer's blocks are: on the GPU, all of them, or two blocks at a time. */
import type { WeightSource } from "@lvsa/runtime";
import type { ModelDefinition } from "../definition/define-model.js";
import type { LoadOptions, Parameters } from "../parameters.js";
import { BlockStream } from "./block-stream.js";

export class BlockWeights {
  /** Of blocks. */
  readonly count: number;
  readonly #parameters: Parameters;
  readonly #layerPattern: RegExp | undefined;
  #stream: BlockStream | undefined;

  /** `parameters` belong to the model, which unloads them through this. */
  constructor(parameters: Parameters, definition: Pick<ModelDefinition, "layerPattern">, count: number) {
    this.#parameters = parameters;
    this.#layerPattern = definition.layerPattern;
    this.count = count;
  }

  get isLoaded(): boolean {
    return this.#parameters.isLoaded;
  }

  /**
   * Loads all, or with `options.offload` what is not part of a block, and the first two blocks. `source` holds checked weights; with `offload` it
   * stays open until `unload`.
   *
   * @throws as `Parameters.load`
   */
  async load(source: WeightSource, options: LoadOptions): Promise<void> {
    const { offload, only = () => true, ...rest } = options;
    const pattern = this.#layerPattern;
    if (!offload || !pattern) return this.#parameters.load(source, { ...rest, only });
    await this.#parameters.load(source, { ...rest, only: (name) => !pattern.test(name) && only(name) });
    const names = source.names().filter((name) => pattern.test(name) && only(name));
    this.#stream = new BlockStream(this.#parameters, source, blocksOf(names, pattern), offload);
    try {
      await this.#stream.start();
    } catch (error) {
      this.unload();
      throw error;
    }
  }

  /**
   * Resolves when a block's weights are on their way to the GPU, before whatever is recorded next. The weights of the
   * block before it may be overwritten from then on.
   *
   * @throws as `Parameters.load`
   */
  async enter(index: number): Promise<void> {
    await this.#stream?.enter(index);
  }

  /** Frees all weights; what is still being read is dropped. */
  unload(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#parameters.unload();
  }
}

/** Names of each block by its number, under the prefix of the block. */
function blocksOf(names: readonly string[], pattern: RegExp): { prefix: string; names: string[] }[] {
  const blocks: { prefix: string; names: string[] }[] = [];
  for (const name of names) {
    const prefix = pattern.exec(name)![0];
    const index = Number(/\d+/.exec(prefix)![0]);
    blocks[index] ??= { prefix, names: [] };
    blocks[index].names.push(name);
  }
  return blocks;
}
