/** LVSA on every transformer of a host, with one processor and one undo. */
import { checkOptionKinds } from "@lvsa/runtime";
import { type ClipGeometry, type LvsaConfigInput, parseLvsaConfig } from "../config.js";
import type { AttentionTarget } from "../contract/host.js";
import type { HostGeometry } from "../pattern/geometry.js";
import { type Installation, installOnAll } from "./integration.js";
import {
  INSTALL_KINDS,
  LvsaAttentionProcessor,
  type LvsaProcessorOptions,
} from "./lvsa-attention-processor.js";
import type { ModelAdapter } from "./model-adapter.js";

/** The part of a `HostPipeline` that is needed; two transformers in two-stage models. */
export interface LvsaHost {
  readonly transformers: readonly AttentionTarget[];
  readonly geometry: HostGeometry & { readonly temporalFactor: number };
}

export interface InstallLvsaOptions
  extends Omit<LvsaProcessorOptions, "config" | "referenceLatentFrames" | "temporalFactor"> {
  /** Users' settings; underneath lie the checkpoint's (`geometry.lvsa`) and then the adapter's defaults. */
  readonly config?: LvsaConfigInput;
}

export interface LvsaInstallation extends Installation {
  readonly processor: LvsaAttentionProcessor;
  /** Settings as they are used: the adapter's defaults, the checkpoint's, and the user's on top. */
  readonly config: LvsaConfigInput;
  /** `clip` with what the model adds to it, for `resolveLvsaConfig`. */
  clipGeometry(clip: { readonly latentFrames: number; readonly patchesPerFrame: number }): ClipGeometry;
}

/**
 * Puts LVSA in charge of the self-attention layers of all transformers. Disposing the result brings the dense
 * path back and frees the index buffers.
 *
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind; ConfigError for bad settings; HookError `ADAPTER_FAMILY` for an adapter of another family, `NO_LAYERS` when a
 * transformer has no layer for it (or there is no transformer), `LAYER_CLAIMED` when a layer is taken already
 */
export function installLvsa(
  host: LvsaHost,
  adapter: ModelAdapter,
  options: InstallLvsaOptions = {},
): LvsaInstallation {
  checkOptionKinds(INSTALL_KINDS, options, "installLvsa");
  const config: LvsaConfigInput = { ...adapter.defaults, ...host.geometry.lvsa, ...options.config };
  parseLvsaConfig(config);
  const training = {
    referenceLatentFrames: adapter.referenceLatentFrames(host.geometry),
    temporalFactor: host.geometry.temporalFactor,
  };
  const processor = new LvsaAttentionProcessor(adapter, { ...options, ...training, config });
  try {
    const installed = installOnAll(adapter.family, host.transformers, (model) =>
      adapter.installProcessor(model, processor),
    );
    return {
      processor,
      config,
      blocks: installed.blocks,
      clipGeometry: (clip) => ({ ...clip, ...training }),
      [Symbol.dispose]: () => {
        installed[Symbol.dispose]();
        processor.dispose();
      },
    };
  } catch (error) {
    processor.dispose();
    throw error;
  }
}
