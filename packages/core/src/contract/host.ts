/** A host engine as adapters, hooks and plugins see it: its transformers, its checkpoint's geometry, its log. */
import type { Device } from "@lvsa/runtime";
import type { HostGeometry } from "../pattern/geometry.js";
import type { AttentionDispatcher } from "./attention-dispatcher.js";
import type { AttentionModule } from "./attention-processor.js";

/** A transformer as attention adapters see it. */
export interface AttentionTarget {
  readonly family: string;
  readonly attention: AttentionDispatcher;
  attentionModules(): AttentionModule[];
  /** Channels of a head whose rotary embedding encodes time; undefined without such an axis. */
  readonly temporalDim?: number | undefined;
  /** Replaces the temporal frequencies in calls from now on (RIFLEx). Only where there is a `temporalDim`. */
  temporalFrequencies?: TemporalFrequencies | undefined;
}

/** The frequencies to use instead of those given, in radians per latent frame, `[temporalDim / 2]`. */
export type TemporalFrequencies = (frequencies: Float64Array) => Float64Array;

/** The checkpoint's geometry, complete. */
export interface CheckpointGeometry extends HostGeometry {
  /** Pixels per latent cell. */
  readonly spatialFactor: number;
  /** Video frames per latent frame. */
  readonly temporalFactor: number;
  /** The transformer's `config.json`, defaults filled in. */
  readonly transformerConfig: Readonly<Record<string, unknown>>;
}

/** The least of a pipeline that adapters, hooks and plugins need. */
export interface HostPipeline {
  /** `wan`, `hunyuan`, `cogvideox`, `cosmos3`, … */
  readonly family: string;
  /** Two in two-stage models. */
  readonly transformers: readonly AttentionTarget[];
  readonly geometry: CheckpointGeometry;
}

/** An engine with its model open: what a plugin is set up on. */
export interface PluginHost {
  /** The host's; plugins do not dispose it. */
  readonly device: Device;
  readonly pipeline: HostPipeline;
  /** The dispatcher that all attention of the model runs through. */
  readonly attention: AttentionDispatcher;
  readonly log: (line: string) => void;
}
