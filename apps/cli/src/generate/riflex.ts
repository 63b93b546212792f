/** `--riflex`: slows one temporal rotary frequency down, on every transformer of the model. */
import { identifyIntrinsicFrequency, riflexFrequencies } from "@lvsa/core";
import type { VideoPipeline } from "@lvsa/diffusion";
import { UsageError } from "@lvsa/runtime";
import type { GenerateCommandOptions } from "../options/generate-options.js";

export interface RiflexSettings {
  readonly s: number;
  readonly k: number;
  readonly training_length: number;
  readonly t_dim: number;
}

/** Disposing it brings the frequencies back that were there before. */
export interface AppliedRiflex extends Disposable {
  readonly settings: RiflexSettings;
  /** For the log. */
  readonly line: string;
}

/**
 * @param trainingLength latent frames, used where `--riflex-train-len` is not given
 * @throws ConfigError when the model has no such axis, or the frequency does not exist
 */
export async function applyRiflex(
  pipeline: VideoPipeline,
  options: Pick<GenerateCommandOptions, "riflexS" | "riflexK" | "riflexTrainLen" | "referenceLatentFrames">,
  trainingLength: () => Promise<number>,
): Promise<AppliedRiflex> {
  const temporalDim = temporalDimOf(pipeline);
  const s = options.riflexS ?? 1;
  const length = options.riflexTrainLen ?? options.referenceLatentFrames ?? (await trainingLength());
  const { rope_theta: given } = pipeline.geometry.transformerConfig;
  const theta = typeof given === "number" ? given : 10_000;
  const k = options.riflexK ?? identifyIntrinsicFrequency(temporalDim, length, theta);
  // Here, so that a bad index is found before the run.
  const frequencies = riflexFrequencies({ temporalDim, k, scale: s, trainingLength: length, theta });
  const settings = { s, k, training_length: length, t_dim: temporalDim };
  const applied = s === 1 ? [] : pipeline.transformers;
  const before = applied.map(({ temporalFrequencies }) => temporalFrequencies);
  for (const transformer of applied) transformer.temporalFrequencies = () => frequencies;
  return {
    settings,
    line:
      s === 1
        ? `[riflex] no-op (s=${s}, k=${k})`
        : `[riflex] applied: s=${s}, k=${k}, L=${length}, t_dim=${temporalDim}`,
    [Symbol.dispose]: () => {
      applied.forEach((transformer, i) => {
        transformer.temporalFrequencies = before[i];
      });
    },
  };
}

/** Channels of the head dimension that encode time. */
function temporalDimOf(pipeline: VideoPipeline): number {
  const dims = pipeline.transformers.map(({ temporalDim }) => temporalDim);
  if (dims[0] !== undefined) return dims[0];
  throw new UsageError("RIFLEX_UNSUPPORTED", `RIFLEx can not be applied to the family ${pipeline.family}`, {
    fix: "Leave out --riflex for this model.",
  });
}
