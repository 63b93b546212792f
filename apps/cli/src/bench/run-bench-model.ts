/** `lvsa bench model`: one real configuration without its checkpoint, phase by phase, with memory seen from outside. */
import type { LvsaConfigInput } from "@lvsa/core";
import { type MemoryPhase, type MemoryPlan, rehearseMemory, StandInModel } from "@lvsa/diffusion/rehearsal";
import { installFamily } from "@lvsa/hooks/families";
import { activationDType, type Device, deviceLabel, type KernelTime, kernelSummary } from "@lvsa/runtime";
import { notEnoughMemory } from "../generate/memory-check.js";
import type { BenchModelRunOptions } from "../options/bench-options.js";
import { tilingOf } from "../options/tiling-options.js";
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
  /** Predictions of a forward pass: two with `--guidance-batch`. */
  readonly predictions: 1 | 2;
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
  readonly options: BenchModelRunOptions;
  readonly config: LvsaConfigInput;
  readonly onProgress: (line: string) => void;
}

/** @throws ConfigError, DeviceError `NOT_ENOUGH_MEMORY` or `BINDING_TOO_LARGE` before anything is made */
export async function runBenchModel(run: BenchModelRun): Promise<BenchModelResult> {
  const { device, probe, options, onProgress } = run;
  const { model } = await resolveModel({ model: options.config });
  const precision = options.precision === "auto" ? activationDType(device) : options.precision;
  const { numFrames: frames, height: rows, width: columns, guidanceBatch } = options;
  const vaeTiling = tilingOf(options);
  const clip = { numFrames: frames, height: rows, width: columns, precision, vaeTiling };
  const predictions = guidanceBatch ? 2 : 1;
  // Any scale above 1 asks for both.
  const plan = await rehearseMemory({ ...clip, model, guidanceScale: predictions, guidanceBatch, device });
  refuseWhatCannotFit(plan, options, probe, device);
  using host = new StandInModel(device, model, {
    ...{ ...clip, encoderLayers: options.encoderLayers, guidanceBatch, prompts: predictions },
  });
  const { grid } = host;
  const { numFrames, height, width } = grid;
  onProgress(
    `${deviceLabel(device.info)}: ${model.name}, ${width}x${height}, ${numFrames} frames ` +
      `(${grid.tokenFrames} x ${grid.patchesPerFrame} tokens), about ${formatBytes(plan.peakBytes)} of GPU memory`,
  );
  const phases: BenchModelPhase[] = [];
  const measure = async (
    name: BenchModelPhase["name"],
    planned: MemoryPhase["name"] | undefined,
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

  if (wants(options, "text encoding") || host.encoders.includes("transformer")) {
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
  const profile: { denoising?: KernelTime[]; decoding?: KernelTime[] } = {};
  const keepProfile = async (phase: keyof typeof profile) => {
    if (!device.profiler) return;
    profile[phase] = await device.profiler.report();
    device.profiler.reset();
  };
  if (wants(options, "denoising")) {
    await measure("loading", undefined, () => timed(() => host.loadTransformer()));
    await measure("denoising", "denoising", async () => {
      const { tokenFrames: latentFrames, patchesPerFrame } = grid;
      using installed = options.lvsa
        ? await installFamily(
            host,
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
      await keepProfile("denoising");
      const settled = forwardSeconds.slice(options.warmUp);
      return settled.reduce((sum, seconds) => sum + seconds, 0) / settled.length;
    });
    host.unloadTransformer();
  }
  let decodedFrames = 0;
  if (wants(options, "decoding")) {
    await host.loadDecoder();
    // Drivers compile at first use: the first chunks use every kernel.
    if (options.warmUp > 0) {
      let chunks = 0;
      for await (const _ of host.decodeBytes()) {
        if (++chunks === WARM_CHUNKS) break;
      }
      device.profiler?.reset();
    }
    await measure("decoding", "decoding", () =>
      timed(async () => {
        for await (const { frames } of host.decodeBytes()) {
          decodedFrames += frames;
          onProgress(`decoded ${decodedFrames}/${numFrames} frames`);
        }
      }),
    );
    await keepProfile("decoding");
  }
  return {
    model: model.name,
    device: deviceLabel(device.info),
    attention: options.lvsa ? "lvsa" : "dense",
    predictions,
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
    ...(device.profiler ? { profile } : {}),
  };
}

/** Chunks that are decoded before any is timed. */
const WARM_CHUNKS = 3;

/** What `--phase` calls them; pictures are not among what is measured. */
const PHASE_OPTION = {
  "text encoding": "encode",
  "image encoding": undefined,
  denoising: "denoise",
  decoding: "decode",
} as const satisfies Record<MemoryPhase["name"], string | undefined>;

function wants({ phase }: BenchModelRunOptions, name: MemoryPhase["name"]): boolean {
  const option = PHASE_OPTION[name];
  return option !== undefined && (phase === "all" || phase === option);
}

function refuseWhatCannotFit(
  plan: MemoryPlan,
  options: BenchModelRunOptions,
  probe: MemoryProbe | undefined,
  device: Device,
): void {
  const needed = plan.phases.filter(({ name }) => wants(options, name));
  const most = needed.reduce((peak, one) => (one.bytes > peak.bytes ? one : peak));
  if (probe?.totalBytes === undefined || most.bytes <= probe.totalBytes) return;
  throw notEnoughMemory(
    options.config,
    most,
    device,
    probe.totalBytes,
    "Use fewer frames, a smaller size or a smaller model.",
  );
}

async function timed(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}
