/** A part of a checkpoint whose weights come to the GPU when they are first needed, and may leave again. */
import { type FolderReader, throwIfAborted, type WeightSource } from "@lvsa/runtime";
import type { BlockOffload, LoadOptions } from "../models/parameters.js";
import type { GenerateOptions } from "./video-pipeline.js";
import { openComponentWeights, withWeights } from "./with-weights.js";

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
  /** The model's blocks come while it runs: its weights stay open until `unload`. */
  readonly offload?: BlockOffload;
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
  model: Model,
  parts: Omit<ComponentParts<Model>, "load" | "unload">,
): Component<Model> {
  return new Component({
    ...parts,
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
  /** Of a model whose blocks come while it runs. */
  #source: WeightSource | undefined;

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
      this.#model = model;
      if (run.signal?.aborted) this.unload();
      throwIfAborted(run.signal, `loading ${this.name}`);
      return model;
    } finally {
      this.#loading = undefined;
    }
  }

  /** Frees the weights; `get` brings them back. */
  unload(): void {
    if (this.#model) this.#parts.unload(this.#model);
    this.#model = undefined;
    void this.#source?.close();
    this.#source = undefined;
  }

  async #load({ signal, onStage }: LoadRun): Promise<Model> {
    const { folder, name, only, offload, wrap = (source) => source } = this.#parts;
    const load = (source: WeightSource) =>
      this.#parts.load(wrap(source), {
        ...(only ? { only } : {}),
        ...(signal ? { signal } : {}),
        ...(offload ? { offload } : {}),
        onProgress: (done, total) => onStage?.({ stage: "load", component: name, done, total }),
      });
    if (!offload) return withWeights(folder, name, load);
    const source = await openComponentWeights(folder, name);
    try {
      const model = await load(source);
      this.#source = source;
      return model;
    } catch (error) {
      await source.close();
      throw error;
    }
  }
}
