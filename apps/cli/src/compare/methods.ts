/** The methods that `lvsa compare` knows, and how they are put on a pipeline. */
import type { LvsaConfigInput } from "@lvsa/core";
import type { VideoPipeline } from "@lvsa/diffusion";
import { familyAdapters, installFamily } from "@lvsa/hooks/families";
import type { CompareLength, CompareMethod } from "@lvsa/quality/compare";
import { applyRiflex } from "../generate/riflex.js";

export const METHOD_NAMES = ["dense", "dense-riflex", "lvsa-fixed", "lvsa-rotating", "lvsa-riflex"] as const;
export type MethodName = (typeof METHOD_NAMES)[number];

interface MethodParts {
  readonly label: string;
  /** Undefined: dense attention. */
  readonly lvsa?: LvsaConfigInput;
  readonly riflex?: true;
}

const METHODS: Readonly<Record<MethodName, MethodParts>> = {
  dense: { label: "dense" },
  "dense-riflex": { label: "dense + RIFLEx", riflex: true },
  "lvsa-fixed": { label: "LVSA fixed", lvsa: { autoKeyframes: true, rotateKeyframes: false } },
  "lvsa-rotating": { label: "LVSA rotating", lvsa: {} },
  "lvsa-riflex": { label: "LVSA rotating + RIFLEx", lvsa: {}, riflex: true },
};

/** Puts methods on one pipeline, one after the other. */
export class MethodBench {
  readonly #pipeline: VideoPipeline;
  readonly #config: LvsaConfigInput;
  readonly #size: { readonly height: number; readonly width: number };
  /** Latent frames that the model was trained on. */
  readonly trained: number;

  private constructor(
    pipeline: VideoPipeline,
    config: LvsaConfigInput,
    size: { readonly height: number; readonly width: number },
    trained: number,
  ) {
    this.#pipeline = pipeline;
    this.#config = config;
    this.#size = size;
    this.trained = trained;
  }

  /** @param config the user's, for all methods with LVSA */
  static async open(
    pipeline: VideoPipeline,
    config: LvsaConfigInput,
    size: { readonly height: number; readonly width: number },
  ): Promise<MethodBench> {
    const trained =
      config.referenceLatentFrames ??
      (pipeline.family === "cosmos3"
        ? pipeline.clip(pipeline.defaults.numFrames, size.height, size.width).latentFrames
        : (await familyAdapters().get(pipeline.family)).referenceLatentFrames(pipeline.geometry));
    return new MethodBench(pipeline, config, size, trained);
  }

  /** Multiples of the training length as clips. */
  lengths(factors: readonly number[]): CompareLength[] {
    const { temporalFactor } = this.#pipeline.geometry;
    return factors.map((factor) => {
      const latentFrames = Math.max(1, Math.round(this.trained * factor));
      return { factor, numFrames: (latentFrames - 1) * temporalFactor + 1 };
    });
  }

  /** Up to the training length, all methods are dense attention with the model's own frequencies. */
  methods(names: readonly MethodName[]): CompareMethod[] {
    return names.map((name) => ({
      name,
      label: METHODS[name].label,
      differsAt: ({ factor }) => factor > 1,
    }));
  }

  /** @throws ConfigError where the model can not do it */
  async install(name: MethodName, { numFrames }: CompareLength): Promise<Disposable> {
    const { lvsa, riflex } = METHODS[name];
    const clip = {
      ...this.#pipeline.clip(numFrames, this.#size.height, this.#size.width),
      ...this.#size,
      numFrames,
    };
    const scale = clip.latentFrames / this.trained;
    const made: Disposable[] = [];
    const undo = () => {
      for (const one of made.splice(0).reverse()) one[Symbol.dispose]();
    };
    try {
      if (riflex && scale > 1) {
        const options = { riflexS: scale, riflexK: undefined, riflexTrainLen: undefined };
        const length = { ...options, referenceLatentFrames: this.trained };
        made.push(await applyRiflex(this.#pipeline, length, async () => this.trained));
      }
      if (lvsa && scale > 1) {
        const config = { ...this.#config, ...lvsa };
        made.push(await installFamily(this.#pipeline, clip, { config, log: () => {} }));
      }
    } catch (error) {
      undo();
      throw error;
    }
    return { [Symbol.dispose]: undo };
  }
}
