/** What every pipeline does first: fill in settings, make or take the initial latents, choose a storage type. */
import { activationDType, type Device, type FloatDType, UsageError } from "@lvsa/runtime";
import type { TorchCpuGenerator } from "../random/index.js";
import type { HostTensor, PipelineOptions } from "./video-pipeline.js";

/**
 * The given latents, or noise from a generator, from which a scheduler may go on drawing, times what the scheduler
 * starts from (`initNoiseSigma`).
 * @throws ConfigError when the given ones have another shape
 */
export function initialLatents(
  given: HostTensor | undefined,
  shape: readonly number[],
  noise: TorchCpuGenerator,
  scale: number,
): HostTensor {
  const scaled = (data: Float32Array) => (scale === 1 ? data : data.map((value) => value * scale));
  if (!given) return { data: scaled(noise.randn(shape)), shape };
  assertLatentsShape("initialLatents", given, shape);
  return { data: scaled(given.data), shape };
}

/**
 * Before any memory is asked for: sizes that no device holds would fail in the middle of it.
 * @throws UsageError `BAD_SIZE` where one buffer of the device does not hold the latents
 */
export function assertLatentsFit(device: Device, shape: readonly number[]): void {
  const bytes = shape.reduce((product, size) => product * size, Float32Array.BYTES_PER_ELEMENT);
  const { maxBufferSize } = device.info.limits;
  if (bytes <= maxBufferSize) return;
  throw new UsageError(
    "BAD_SIZE",
    `the latents of this clip, [${shape.join(", ")}], take ${bytes} bytes; a buffer of this device holds ${maxBufferSize}`,
    { fix: "Use fewer frames, or a smaller height and width." },
  );
}

/** @throws UsageError `LATENTS_SHAPE` */
export function assertLatentsShape(name: string, given: HostTensor, shape: readonly number[]): void {
  if (given.shape.join() === shape.join()) return;
  throw new UsageError(
    "LATENTS_SHAPE",
    `${name} are [${given.shape.join(", ")}], this clip needs [${shape.join(", ")}]`,
    { fix: "Match --num-frames, --height and --width to the latents." },
  );
}

/** Storage type between residual additions. */
export function computeDtype(device: Device, precision: PipelineOptions["precision"] = "auto"): FloatDType {
  if (precision !== "auto") return precision;
  return activationDType(device);
}

/** Settings that were left out, or given as undefined, take the default under them. */
export function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as never;
}
