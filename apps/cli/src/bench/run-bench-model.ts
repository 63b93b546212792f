/** `lvsa bench model`: one real configuration without its checkpoint, phase by phase, with memory seen from outside. */
import type { LvsaConfigInput } from "@lvsa/core";
import { knownModels } from "@lvsa/diffusion/catalog";
import { type MemoryPlan, rehearseMemory, StandInModel } from "@lvsa/diffusion/rehearsal";
import {
  activationDType,
  type Device,
  DeviceError,
  deviceLabel,
  type KernelTime,
  kernelSummary,
  toRgbFrames,
} from "@lvsa/runtime";
import { createAdapterRegistry } from "../adapters.js";
import { installFamily } from "../generate/install-family.js";
import type { BenchModelCommandOptions } from "../options/bench-options.js";
import { formatBytes } from "../output/units.js";
import { resolveModel } from "../plan/resolve-model.js";
import type { MemoryProbe } from "./memory-probe.js";

export interface BenchModelPhase {
  readonly name: "text encoding" | "loading" | "denoising" | "decoding";
  /** Wall time; of denoising, per forward pass after those that warm up. */
  readonly seconds: number;
  readonly planBytes: number | undefined;
  /** The most that the program's own books held. */
  readonly poolBytes: number;
  /** The most that was counted from outside; undefined where nobody tells. */
  readonly driverBytes: number | undefined;
}

export interface BenchModelResult {
  readonly model: string;
  readonly device: string;
  readonly attention: "dense" | "lvsa";
  /** Storage of activations, and the kernels that ran. */
  readonly precision: "f32" | "f16";
  readonly kernels: string;
  readonly width: number;
  readonly height: number;
  readonly numFrames: number;
  readonly latentFrames: number;
  readonly videoTokens: number;
  /** Attended share of all pairs of frames. */
  readonly attendedFraction: number;
  readonly phases: readonly BenchModelPhase[];
  /** Seconds of each forward pass, those that warm up first. */
  readonly forwardSeconds: readonly number[];
  readonly decodedFrames: number;
  readonly memorySource: string | undefined;
  /** GPU time per kernel of the last forward pass and of decoding, with `--profile`. */
  readonly profile?: {
    readonly denoising?: readonly KernelTime[];
    readonly decoding?: readonly KernelTime[];
  };
}

export interface BenchModelRun {
  readonly device: Device;
  readonly probe: MemoryProbe | undefined;
  readonly options: BenchModelCommandOptions;
  readonly config: LvsaConfigInput;
  readonly onProgress: (line: string) => void;
}

/** @throws ConfigError, DeviceError `NOT_ENOUGH_MEMORY` or `BINDING_TOO_LARGE` before anything is made */
export async function runBenchModel(run: BenchModelRun): Promise<BenchModelResult> {
  const { device, probe, options, onProgress } = run;
  const model = await resolveModel(options.config);
  const { numFrames, height, width, precision } = {
    ...model.defaults,
    ...sizes(options),
    precision: options.precision === "auto" ? activationDType(device) : options.precision,
  };
  const plan = await rehearseMemory({
    model,
    numFrames,
    height,
    width,
    precision,
    guidanceScale: 1,
    device,
  });
  refuseWhatCannotFit(plan, options, probe, device);
  using host = new StandInModel(device, model, {
    numFrames,
    height,
    width,
    precision,
    encoderLayers: options.encoderLayers,
  });
  const { grid } = host;
  onProgress(
    `${deviceLabel(device.info)}: ${model.name}, ${width}x${height}, ${numFrames} frames ` +
      `(${grid.tokenFrames} x ${grid.patchesPerFrame} tokens), about ${formatBytes(plan.peakBytes)} of GPU memory`,
  );
  const phases: BenchModelPhase[] = [];
  const measure = async (
    name: BenchModelPhase["name"],
    planned: MemoryPlan["phases"][number]["name"] | undefined,
    body: () => Promise<number>,
  ) => {
    await device.releaseMemory();
    device.resetPeakMemory();
    await probe?.takePeak();
    onProgress(name);
    const seconds = await body();
    const poolBytes = device.memory().peakBytes;
    const driverBytes = await probe?.takePeak();
    const planBytes = plan.phases.find((phase) => phase.name === planned)?.bytes;
    phases.push({ name, seconds, planBytes, poolBytes, driverBytes });
  };
  const wants = (phase: "encode" | "denoise" | "decode") =>
    options.phase === "all" || options.phase === phase;

  if (wants("encode") || host.encoders.includes("transformer")) {
    await measure("text encoding", "text encoding", () =>
      timed(async () => {
        for (const name of host.encoders) {
          await host.encode(name);
          await device.releaseMemory();
        }
      }),
    );
  }
  const forwardSeconds: number[] = [];
  let attendedFraction = 1;
  const kernels: { denoising?: KernelTime[]; decoding?: KernelTime[] } = {};
  if (wants("denoise")) {
    await measure("loading", undefined, () => timed(() => host.loadTransformer()));
    await measure("denoising", "denoising", async () => {
      const { tokenFrames: latentFrames, patchesPerFrame } = grid;
      using installed = options.lvsa
        ? await installFamily(
            host,
            createAdapterRegistry(),
            { numFrames, height, width, latentFrames, patchesPerFrame },
            { config: run.config, log: onProgress },
          )
        : undefined;
      const count = options.warmUp + options.steps;
      for (let index = 0; index < count; index++) {
        device.profiler?.reset();
        forwardSeconds.push(
          await timed(async () => {
            await host.forward(
              { index, count, generation: 0 },
              {
                onBlock: (done, blocks) =>
                  onProgress(`forward ${index + 1}/${count}, block ${done}/${blocks}`),
              },
            );
          }),
        );
      }
      attendedFraction = installed?.processor.pattern?.density ?? 1;
      const profile = await device.profiler?.report();
      if (profile) kernels.denoising = profile;
      device.profiler?.reset();
      const settled = forwardSeconds.slice(options.warmUp);
      return settled.reduce((sum, seconds) => sum + seconds, 0) / settled.length;
    });
    host.unloadTransformer();
  }
  let decodedFrames = 0;
  if (wants("decode")) {
    await host.loadDecoder();
    await measure("decoding", "decoding", () =>
      timed(async () => {
        decodedFrames = await decodeAll(device, host, onProgress);
      }),
    );
    const profile = await device.profiler?.report();
    if (profile) kernels.decoding = profile;
  }
  return {
    model: model.name,
    device: deviceLabel(device.info),
    attention: options.lvsa ? "lvsa" : "dense",
    precision,
    kernels: kernelSummary(device.kernelUses()),
    width,
    height,
    numFrames,
    latentFrames: grid.latentFrames,
    videoTokens: grid.videoTokens,
    attendedFraction,
    phases,
    forwardSeconds,
    decodedFrames,
    memorySource: probe?.source,
    ...(device.profiler ? { profile: kernels } : {}),
  };
}

/** As the pipeline's frame reader does: bytes of each chunk, and memory of the first chunk given back. */
async function decodeAll(
  device: Device,
  host: StandInModel,
  onProgress: (line: string) => void,
): Promise<number> {
  let frames = 0;
  for (const chunk of host.decode()) {
    const bytes = toRgbFrames(device, chunk);
    const first = frames === 0;
    frames += chunk.dim(1);
    chunk.dispose();
    await device.readBytes(bytes);
    bytes.dispose();
    if (first) await device.releaseMemory();
    onProgress(`decoded ${frames}/${host.grid.numFrames} frames`);
  }
  return frames;
}

function sizes({ numFrames, height, width }: BenchModelCommandOptions) {
  return {
    ...(numFrames === undefined ? {} : { numFrames }),
    ...(height === undefined ? {} : { height }),
    ...(width === undefined ? {} : { width }),
  };
}

function refuseWhatCannotFit(
  plan: MemoryPlan,
  options: BenchModelCommandOptions,
  probe: MemoryProbe | undefined,
  device: Device,
): void {
  const needed = plan.phases.filter(
    ({ name }) =>
      options.phase === "all" ||
      (options.phase === "denoise" && name === "denoising") ||
      (options.phase === "decode" && name === "decoding") ||
      (options.phase === "encode" && name === "text encoding"),
  );
  const most = needed.reduce((peak, one) => (one.bytes > peak.bytes ? one : peak));
  if (probe?.totalBytes === undefined || most.bytes <= probe.totalBytes) return;
  throw new DeviceError(
    "NOT_ENOUGH_MEMORY",
    `${options.config} needs about ${formatBytes(most.bytes)} (in ${most.name}), ${deviceLabel(device.info)} has ${formatBytes(probe.totalBytes)}`,
    { fix: `Use fewer frames, or one of ${knownModels().length} models that is smaller.` },
  );
}

async function timed(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}
