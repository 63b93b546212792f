/** Numbers that are no numbers end a run where they first appear, instead of in a black video. */
import { LvsaError, UsageError } from "@lvsa/runtime";
import type { HostTensor } from "./video-pipeline.js";

export interface NotFiniteDetails {
  /** Denoising step, from 0, where it happened in one. */
  readonly step?: number | undefined;
  /** The last latents that were right. */
  readonly latents?: HostTensor | undefined;
  /** Storage type of the transformer's activations. */
  readonly precision?: string | undefined;
}

/** `NOT_FINITE`: a component gave NaN or infinity. */
export class NotFiniteError extends LvsaError {
  /** E.g. `transformer`, `text_encoder`, `vae`. */
  readonly component: string;
  /** Denoising step, from 0; undefined outside of denoising. */
  readonly step: number | undefined;
  /** The last latents that were right, in the family's own layout: before step `step`, or all of them when decoding failed. */
  readonly latents: HostTensor | undefined;

  constructor(component: string, what: string, details: NotFiniteDetails = {}) {
    const at = details.step === undefined ? "" : ` in step ${details.step + 1}`;
    super("NOT_FINITE", `${what} of the ${component} are not finite numbers${at}`, {
      fix:
        details.precision === "f16"
          ? 'Use --precision f32 (precision: "f32"): values beyond 65504 do not fit into f16. If that does not help, the weights are damaged.'
          : "The weights are damaged, or an option is far out of the model's range: compare the files' checksums.",
    });
    this.component = component;
    this.step = details.step;
    this.latents = details.latents;
  }
}

export function allFinite(data: Float32Array): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return false;
  return true;
}

/** @throws NotFiniteError */
export function assertFinite(
  data: Float32Array,
  component: string,
  what: string,
  details?: NotFiniteDetails,
): void {
  if (!allFinite(data)) throw new NotFiniteError(component, what, details);
}

/** For numbers that the caller gave. @throws UsageError `INPUT_NOT_FINITE` */
export function assertGivenFinite(name: string, tensor: HostTensor | undefined): void {
  if (!tensor) return;
  const at = tensor.data.findIndex((x) => !Number.isFinite(x));
  if (at < 0) return;
  throw new UsageError("INPUT_NOT_FINITE", `${name} holds ${tensor.data[at]} at element ${at}`, {
    fix: "Give finite numbers.",
  });
}
