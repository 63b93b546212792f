/** A part of a checkpoint whose weights come to the GPU when they are first needed, and may leave again. */
import { type FolderReader, throwIfAborted, type WeightSource } from "@lvsa/runtime";
import type { LoadOptions } from "../models/parameters.js";
import type { GenerateOptions } from "./video-pipeline.js";
import { withWeights } from "./with-weights.js";

/** What a load hears and tells. */
export type LoadRun = Pick<GenerateOptions, "signal" | "onStage">;

export interface ComponentParts<Model> {
  readonly folder: FolderReader;
  /** Folder in the checkpoint, e.g. `transformer`. */
  readonly name: string;
  /** Only these tensors; default: all. */
  readonly only?: (name: string) => boolean;
  /** What reads through the file's weights, e.g. to add LoRAs to them. */
  readonly wrap?: (source: WeightSource) => WeightSource;
  load(source: WeightSource, options: LoadOptions): Promise<Model>;
  unload(model: Model): void;
}

/** What models that are built without weights have. */
export interface Loadable {
  load(source: WeightSource, options: LoadOptions): Promise<void>;
  unload(): void;
}

/** A component around a model that is there before its weights. */
export function loadable<Model extends Loadable>(
  folder: FolderReader,
  name: string,
  model: Model,
  only?: (name: string) => boolean,
  wrap?: (source: WeightSource) => WeightSource,
): Component<Model> {
  return new Component({
    ...{ folder, name },
    ...(only ? { only } : {}),
    ...(wrap ? { wrap } : {}),
    load: async (source, options) => {
      await model.load(source, options);
      return model;
    },
    unload: () => model.unload(),
  });
}

export class Component<Model> {
  readonly name: string;
  readonly #parts: ComponentParts<Model>;
  #model: Model | undefined;
  #loading: Promise<Model> | undefined;

  constructor(parts: ComponentParts<Model>) {
    this.name = parts.name;
    this.#parts = parts;
  }

  get isLoaded(): boolean {
    return this.#model !== undefined;
  }

  /** The model with its weights: there, or on their way for somebody else, or loaded now. @throws WeightsError, AbortError */
  async get(run: LoadRun): Promise<Model> {
    // A load that somebody else stopped is begun again.
    while (!this.#model && this.#loading) await this.#loading.catch(() => undefined);
    if (this.#model) return this.#model;
    this.#loading = this.#load(run);
    try {
      const model = await this.#loading;
      // Stopped at the last moment: nobody would free it.
      if (run.signal?.aborted) this.#parts.unload(model);
      throwIfAborted(run.signal, `loading ${this.name}`);
      this.#model = model;
      return model;
    } finally {
      this.#loading = undefined;
    }
  }

  /** Frees the weights; `get` brings them back. */
  unload(): void {
    if (this.#model) this.#parts.unload(this.#model);
    this.#model = undefined;
  }

  #load({ signal, onStage }: LoadRun): Promise<Model> {
    const { folder, name, only, wrap = (source) => source } = this.#parts;
    return withWeights(folder, name, (source) =>
      this.#parts.load(wrap(source), {
        ...(only ? { only } : {}),
        ...(signal ? { signal } : {}),
        onProgress: (done, total) => onStage?.({ stage: "load", component: name, done, total }),
      }),
    );
  }
}
