/**
 * The hook of Cosmos 3. It has no adapter: its package has a processor for one clip, and this makes one per clip, so
 * that clips of any length follow each other.
 */
import {
  type AttentionCall,
  type AttentionResult,
  ConfigError,
  checkFamily,
  claimLayers,
  type FallbackEvent,
  type InstallLvsaOptions,
  installOnAll,
  type LayerProcessor,
  type LvsaConfigInput,
} from "@lvsa/core";
import type { HookHost, HookTarget } from "./hook-definition.js";

const FAMILY = "cosmos3";

/** The part of `@lvsa/cosmos3-processor` that is used here. */
export interface Cosmos3Package {
  readonly COSMOS3_DEFAULTS: { readonly windowSize: number; readonly nFirstFrames: number };
  readonly Cosmos3LvsaProcessor: new (options: Cosmos3ClipOptions) => Cosmos3ClipProcessor;
}

interface Cosmos3ClipProcessor extends Disposable {
  process(call: AttentionCall, next: Next): AttentionResult;
}

interface Cosmos3ClipOptions extends Omit<InstallLvsaOptions, "clip" | "engages" | "config"> {
  readonly clip: {
    readonly latentFrames: number;
    readonly patchesPerFrame: number;
    readonly referenceLatentFrames: number;
    readonly temporalFactor: number;
  };
  readonly config: LvsaConfigInput;
}

type Next = (call: AttentionCall) => AttentionResult;

/**
 * What the plugin wants to know of the model, and how its layers are taken.
 *
 * @throws HookError `ADAPTER_FAMILY` when the host's models are of another family
 */
export function cosmos3Target(module: Cosmos3Package, host: HookHost): HookTarget {
  checkFamily(FAMILY, host.transformers);
  const { referenceLatentFrames, temporalFactor } = host.geometry;
  if (referenceLatentFrames === undefined) {
    throw new ConfigError(
      "NO_REFERENCE_FRAMES",
      "the host does not say what length Cosmos 3 was trained on",
      {
        fix: "Give geometry.referenceLatentFrames, in latent frames.",
      },
    );
  }
  const model = { referenceLatentFrames, temporalFactor, defaults: module.COSMOS3_DEFAULTS };
  return {
    ...model,
    install: (options) => {
      const clips = new Cosmos3Clips(module, model, options);
      const installed = installOnAll(FAMILY, host.transformers, (transformer) =>
        // The understanding stream is causal and keeps its own attention.
        claimLayers(
          transformer,
          transformer.attentionModules().filter(({ role }) => role === "self"),
          clips,
        ),
      );
      return {
        blocks: installed.blocks,
        [Symbol.dispose]: () => {
          installed[Symbol.dispose]();
          clips.dispose();
        },
      };
    },
  };
}

class Cosmos3Clips implements LayerProcessor {
  readonly #module: Cosmos3Package;
  readonly #model: Omit<HookTarget, "install">;
  readonly #options: InstallLvsaOptions;
  #clip: { readonly key: string; readonly processor: Cosmos3ClipProcessor | undefined } | undefined;

  constructor(module: Cosmos3Package, model: Omit<HookTarget, "install">, options: InstallLvsaOptions) {
    this.#module = module;
    this.#model = model;
    this.#options = options;
  }

  get owner(): string {
    return this.#options.owner ?? "lvsa";
  }

  process(call: AttentionCall, next: Next): AttentionResult {
    const misfit = this.#misfit(call);
    if (misfit) {
      this.#options.onFallback?.(misfit);
      return next(call);
    }
    return this.#processorOf(call)?.process(call, next) ?? next(call);
  }

  dispose(): void {
    this.#clip?.processor?.[Symbol.dispose]();
    this.#clip = undefined;
  }

  /** Why this call runs dense, if it does. */
  #misfit({ geometry, hiddenStates, keyMask, module, step }: AttentionCall): FallbackEvent | undefined {
    const tokens = hiddenStates.dim(1);
    const event = (reason: FallbackEvent["reason"], details: FallbackEvent["details"]): FallbackEvent => ({
      origin: "cosmos3",
      reason,
      sequenceLength: tokens,
      details,
      ...(step ? { step: step.index, generation: step.generation } : {}),
    });
    if (module.causal) return event("unsupported_call", { causal: true });
    if (keyMask?.includes(0)) return event("unsupported_call", { mask: true });
    if (hiddenStates.dim(0) !== 1) return event("unsupported_call", { batch: hiddenStates.dim(0) });
    if (!geometry) return event("no_geometry", {});
    const { latentFrames, patchesPerFrame } = geometry;
    const expected = { latentFrames, patchesPerFrame, ...this.#options.clip };
    const fits =
      tokens === latentFrames * patchesPerFrame &&
      expected.latentFrames === latentFrames &&
      [expected.patchesPerFrame].flat().includes(patchesPerFrame);
    if (fits) return undefined;
    return event("geometry_mismatch", { T_lat: expected.latentFrames, P: expected.patchesPerFrame });
  }

  /** That of the clip at hand; undefined where it runs dense as wanted. */
  #processorOf({ geometry, step }: AttentionCall): Cosmos3ClipProcessor | undefined {
    const { latentFrames, patchesPerFrame } = geometry!;
    const key = `${latentFrames} ${patchesPerFrame} ${step?.generation}`;
    if (this.#clip?.key === key) return this.#clip.processor;
    this.dispose();
    const { clip: _clip, owner: _owner, engages, ...options } = this.#options;
    const { temporalFactor } = this.#model;
    const config = { ...this.#module.COSMOS3_DEFAULTS, ...options.config };
    const referenceLatentFrames = config.referenceLatentFrames ?? this.#model.referenceLatentFrames;
    const clip = { latentFrames, patchesPerFrame, referenceLatentFrames, temporalFactor };
    const processor =
      (engages?.(clip) ?? true)
        ? new this.#module.Cosmos3LvsaProcessor({
            ...options,
            strict: false,
            clip,
            // Window and leading frames are at least one latent frame, as in the package's own installer.
            config: {
              ...config,
              windowSize: Math.max(config.windowSize ?? 0, temporalFactor),
              nFirstFrames: Math.max(config.nFirstFrames ?? 0, temporalFactor),
            },
          })
        : undefined;
    this.#clip = { key, processor };
    return processor;
  }
}
