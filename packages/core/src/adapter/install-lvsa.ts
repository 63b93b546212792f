/** LVSA on every transformer of a host, with one processor and one undo. */
import { type ClipGeometry, type LvsaConfigInput, parseLvsaConfig } from "../config.js";
import type { HostGeometry } from "../pattern/geometry.js";
import { LvsaAttentionProcessor, type LvsaProcessorOptions } from "./lvsa-attention-processor.js";
import type { Installation, LvsaCall, ModelAdapter } from "./model-adapter.js";

/** What a pipeline shows of itself; two transformers in two-stage models. */
export interface LvsaHost<Model> {
  readonly transformers: readonly Model[];
  readonly geometry: HostGeometry & { readonly temporalFactor: number };
}

export interface InstallLvsaOptions
  extends Omit<LvsaProcessorOptions, "config" | "referenceLatentFrames" | "temporalFactor"> {
  /** Users' settings; the adapter's defaults lie underneath. */
  readonly config?: LvsaConfigInput;
}

export interface LvsaInstallation<Call extends LvsaCall, Result> extends Installation {
  readonly processor: LvsaAttentionProcessor<Call, Result>;
  /** Settings as they are used: the adapter's defaults with the user's on top. */
  readonly config: LvsaConfigInput;
  /** `clip` with what the model adds to it, for `resolveLvsaConfig`. */
  clipGeometry(clip: { readonly latentFrames: number; readonly patchesPerFrame: number }): ClipGeometry;
}

/**
 * Puts LVSA in charge of the self-attention layers of all transformers. Disposing the result brings the dense
 * path back and frees the index buffers.
 *
 * @throws ConfigError for bad settings, HookError when a layer is taken already
 */
export function installLvsa<Model, Call extends LvsaCall, Result>(
  host: LvsaHost<Model>,
  adapter: ModelAdapter<Model, Call, Result>,
  options: InstallLvsaOptions = {},
): LvsaInstallation<Call, Result> {
  const config: LvsaConfigInput = { ...adapter.defaults, ...options.config };
  parseLvsaConfig(config);
  const training = {
    referenceLatentFrames: adapter.referenceLatentFrames(host.geometry),
    temporalFactor: host.geometry.temporalFactor,
  };
  const processor = new LvsaAttentionProcessor<Call, Result>(adapter, { ...options, ...training, config });
  const installed: Installation[] = [];
  const undo = () => {
    for (const one of installed.splice(0).reverse()) one[Symbol.dispose]();
    processor.dispose();
  };
  try {
    for (const model of host.transformers) installed.push(adapter.installProcessor(model, processor));
  } catch (error) {
    undo();
    throw error;
  }
  return {
    processor,
    config,
    blocks: installed.reduce((sum, { blocks }) => sum + blocks, 0),
    clipGeometry: (clip) => ({ ...clip, ...training }),
    [Symbol.dispose]: undo,
  };
}
