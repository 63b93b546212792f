/** How processors are put in charge of a model's layers, and how ranks share a clip. */
import { ConfigError, HookError, type Tensor } from "@lvsa/runtime";
import type { AttentionCall, AttentionModule, AttentionResult } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";
import { nearestDivisibleFrames } from "../pattern/divisibility.js";

/** Computes the attention of the layers it is put in charge of. */
export interface LayerProcessor {
  /** Who takes the layers, in the error of a second taker. Default `lvsa`. */
  readonly owner?: string;
  /** `next` is the layer's dense path. */
  process(call: AttentionCall, next: (call: AttentionCall) => AttentionResult): AttentionResult;
}

/** Undoes an installation. */
export interface Installation extends Disposable {
  /** Attention layers that now run LVSA; at least one. */
  readonly blocks: number;
}

/** One rank of a context-parallel run: it holds an equal, contiguous share of the video tokens. */
export interface RankShard {
  readonly rank: number;
  readonly worldSize: number;
}

/**
 * Puts the processor in charge of these layers of `model`, or of none when one is taken.
 *
 * @throws HookError `NO_LAYERS` without any, which names the roles that the model has; `LAYER_CLAIMED` when one is taken
 */
export function claimLayers(
  model: AttentionTarget,
  layers: readonly AttentionModule[],
  processor: LayerProcessor,
): Installation {
  if (layers.length === 0) throw noLayers(model);
  const made: Disposable[] = [];
  const release = () => {
    for (const claim of made.splice(0)) claim[Symbol.dispose]();
  };
  try {
    for (const layer of layers) {
      made.push(
        model.attention.claim(layer, processor.owner ?? "lvsa", (call, next) =>
          processor.process(call, next),
        ),
      );
    }
  } catch (error) {
    release();
    throw error;
  }
  return { blocks: layers.length, [Symbol.dispose]: release };
}

/**
 * Installs on every transformer of a host, or on none.
 *
 * @throws HookError `ADAPTER_FAMILY` when a transformer is of another family, `NO_LAYERS` when one has no layer to take or
 * there is no transformer, and what `install` throws
 */
export function installOnAll(
  family: string,
  models: readonly AttentionTarget[],
  install: (model: AttentionTarget) => Installation,
): Installation {
  checkFamily(family, models);
  if (models.length === 0) {
    throw new HookError("NO_LAYERS", `the host shows no transformer for LVSA on ${family}`, {
      fix: "Install LVSA on a pipeline that lists its transformers.",
    });
  }
  const installed: Installation[] = [];
  const undo = () => {
    for (const one of installed.splice(0).reverse()) one[Symbol.dispose]();
  };
  try {
    for (const model of models) {
      const installation = install(model);
      installed.push(installation);
      if (!(installation.blocks > 0)) throw noLayers(model);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return { blocks: installed.reduce((sum, { blocks }) => sum + blocks, 0), [Symbol.dispose]: undo };
}

function noLayers(model: AttentionTarget): HookError {
  const roles = [...new Set(model.attentionModules().map(({ role }) => role))];
  return new HookError(
    "NO_LAYERS",
    `the ${model.family} model has no attention layer for LVSA to take; ` +
      (roles.length > 0 ? `its layers have the roles ${roles.join(", ")}` : "it lists no attention layers"),
    { fix: "Take an adapter whose `role` is one of the model's, or correct attentionModules()." },
  );
}

/** @throws HookError `ADAPTER_FAMILY` when a model is of another family than the adapter */
export function checkFamily(family: string, models: readonly AttentionTarget[]): void {
  const other = models.find((model) => model.family !== family);
  if (!other) return;
  throw new HookError("ADAPTER_FAMILY", `LVSA for ${family} models does not fit a ${other.family} model`, {
    fix: `Take the adapter of the family ${other.family}.`,
  });
}

/**
 * Tokens of each rank when `worldSize` ranks share a clip.
 *
 * @throws ConfigError `INVALID_WORLD_SIZE`, or `NOT_DIVISIBLE` with the nearest lengths that work
 */
export function shareTokens(
  clip: { readonly latentFrames: number; readonly patchesPerFrame: number },
  worldSize: number,
): number {
  if (!Number.isInteger(worldSize) || worldSize < 1) {
    throw new ConfigError("INVALID_WORLD_SIZE", `${worldSize} ranks cannot share a clip`, {
      fix: "Give a whole number of at least 1.",
    });
  }
  const tokens = clip.latentFrames * clip.patchesPerFrame;
  if (tokens % worldSize === 0) return tokens / worldSize;
  const nearest = nearestDivisibleFrames(clip.latentFrames, clip.patchesPerFrame, worldSize);
  throw new ConfigError("NOT_DIVISIBLE", `${worldSize} ranks cannot share ${tokens} tokens equally`, {
    fix: `Use ${nearest.join(" or ")} latent frames.`,
  });
}

/** The call with one rank's rows of the rotary tables, as views; the call itself where it has none. */
export function shardRotary(call: AttentionCall, { rank, worldSize }: RankShard): AttentionCall {
  if (!call.rotary) return call;
  const rows = call.rotary.cos.dim(0) / worldSize;
  const slice = (table: Tensor) => table.rows(rank * rows, (rank + 1) * rows);
  return { ...call, rotary: { cos: slice(call.rotary.cos), sin: slice(call.rotary.sin) } };
}
