/**
 * GPU memory of a generation, known before it runs: the program itself runs on a device that computes nothing and counts
 * what is created. So the plan is what the program does, whatever changes in it.
 */
import { type Collective, SequenceParallel } from "@lvsa/core";
import {
  type CountingGpu,
  checkOptionKinds,
  countingGpu,
  type Device,
  type Kernel,
  type OptionKinds,
} from "@lvsa/runtime";
import type { ModelDescription } from "../catalog/model-description.js";
import type { ImageSize } from "../models/definition/video-model.js";
import { type Precision, StandInModel, type StandInModelOptions } from "./stand-in-model.js";

export type { Precision } from "./stand-in-model.js";

export interface MemoryItem {
  readonly name: string;
  readonly bytes: number;
}

export interface MemoryPhase {
  readonly name: "text encoding" | "image encoding" | "denoising" | "decoding";
  /** Weights, and everything else. */
  readonly items: readonly MemoryItem[];
  readonly bytes: number;
}

export interface MemoryPlan {
  /** Sizes of the autoencoder's tiles, where they were asked for; null: the picture is not cut. */
  readonly vaeTiling?: string | null;
  readonly phases: readonly MemoryPhase[];
  /** Of the phase that needs most. */
  readonly peakBytes: number;
  readonly peakPhase: MemoryPhase["name"];
  /** Bytes on the GPU per component that stays there whole; streamed ones are in `phases`. */
  readonly weightBytes: Readonly<Record<string, number>>;
}

export interface RehearsalOptions {
  readonly model: ModelDescription;
  readonly numFrames?: number | undefined;
  /** Video frames that the transformer sees at once. Default: all. */
  readonly windowFrames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  /** Size of the image that the video begins with, for families that take the video's size from it. */
  readonly image?: ImageSize | undefined;
  readonly guidanceScale?: number | undefined;
  /** Both predictions of guidance in one pass; without effect where guidance is off. Default false. */
  readonly guidanceBatch?: boolean | undefined;
  readonly precision?: Precision | undefined;
  /** Run the transformer in the memory of two blocks; default false. */
  readonly offload?: boolean | undefined;
  /** Ranks that share the clip's frames: the memory of one of them, dense. Default 1. */
  readonly contextParallelSize?: number | undefined;
  /** Tokens of the prompts, the negative one second where there is guidance: `promptTokens`. Default: the most there can be. */
  readonly tokens?: StandInModelOptions["tokens"];
  readonly stepCache?: StandInModelOptions["stepCache"];
  readonly merged?: StandInModelOptions["merged"];
  readonly vaeTiling?: StandInModelOptions["vaeTiling"];
  /** The device that will be used: its limits decide what is split, its kernels what they need. Default: core WebGPU. */
  readonly device?: Pick<Device, "info" | "math"> | undefined;
}

/** What a driver takes for itself, shaders and queues: 70 to 200 MB on an NVIDIA H200 through Vulkan. */
const DRIVER_BYTES = 200e6;
/** Steps after which nothing new is created. */
const STEPS = 2;
/** Frames after which a decoder's memory is what it stays: the first chunk, and two that follow it. */
const DECODED_FRAMES = 25;

const REHEARSAL_KINDS: OptionKinds<RehearsalOptions> = {
  ...{ model: "object", numFrames: "any", windowFrames: "any", height: "any", width: "any", image: "object" },
  ...{ guidanceScale: "any", precision: ["f32", "f16"], offload: "boolean", contextParallelSize: "any" },
  ...{ tokens: "any", stepCache: "any", guidanceBatch: "boolean", merged: "any", vaeTiling: "any" },
  device: "object",
};

export interface Rehearsal {
  readonly memory: MemoryPlan;
  /** What `device.warm` of the device that was pretended takes, so that no step waits for a compiler. */
  readonly kernels: readonly Kernel[];
}

/**
 * The memory that one generation takes, dense or sparse: LVSA adds index buffers of some kilobytes.
 * @throws UsageError `BAD_OPTION`; ConfigError for sizes or configs that do not fit the model
 */
export async function rehearseMemory(options: RehearsalOptions): Promise<MemoryPlan> {
  return (await rehearse(options)).memory;
}

/** Memory and kernels of one generation; those of sparse attention are not among them. @throws ConfigError as `rehearseMemory` does */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  checkOptionKinds(REHEARSAL_KINDS, options, "a rehearsal");
  const { model } = options;
  const gpu = countingGpu(options.device ? { info: options.device.info, math: options.device.math } : {});
  const driverBytes = options.device?.info.hardware === "software" ? 0 : DRIVER_BYTES;
  const { device } = gpu;
  const isGuided = (options.guidanceScale ?? model.defaults.guidanceScale) > 1;
  const tokens = options.tokens?.slice(0, isGuided ? 2 : 1);
  const host = new StandInModel(device, model, {
    ...{ ...options, tokens, prompts: isGuided ? 2 : 1 },
    areTilesAbridged: true,
  });
  try {
    let encoding = phase("text encoding", 0, undefined);
    for (const name of host.encoders) {
      await host.encode(name);
      const one = phase("text encoding", gpu.driverPeakBytes, undefined, `${name}, one layer at a time`);
      if (one.bytes > encoding.bytes) encoding = one;
      await settle(gpu);
    }
    const imageEncoding = host.encodesImage ? [await rehearseImage(host, gpu)] : [];
    await host.loadTransformer();
    await settle(gpu);
    const transformerBytes = device.memory().pinnedBytes;
    const control = { sequence: standInRanks(options.contextParallelSize) };
    for (let index = 0; index < STEPS; index++) {
      for (let prompt = 0; prompt < host.passes; prompt++) {
        await host.forward({ index, count: STEPS, generation: 0 }, control, prompt);
      }
    }
    const denoising = phase("denoising", gpu.driverPeakBytes, {
      name: options.offload ? "weights outside of blocks, and two blocks" : "weights of one transformer",
      bytes: transformerBytes,
    });
    host.unloadTransformer();
    await settle(gpu);
    await host.loadDecoder();
    const decoderBytes = device.memory().pinnedBytes;
    let decoded = 0;
    for await (const chunk of host.decode()) {
      await device.idle();
      chunk.dispose();
      decoded += 1;
      if (decoded === DECODED_FRAMES) break;
    }
    const { vaeTiling } = host;
    const decoding = phase(
      "decoding",
      gpu.driverPeakBytes,
      { name: "weights of the decoder", bytes: decoderBytes },
      vaeTiling ? "activations and caches of a tile" : "activations and caches",
    );
    const phases = [encoding, ...imageEncoding, denoising, decoding].map((one) =>
      withDriver(one, driverBytes),
    );
    const peak = phases.reduce((most, one) => (one.bytes > most.bytes ? one : most));
    const transformers = Object.keys(model.components).filter((name) => /^transformer(_2)?$/.test(name));
    const memory: MemoryPlan = {
      ...(vaeTiling === undefined ? {} : { vaeTiling }),
      phases,
      peakBytes: peak.bytes,
      peakPhase: peak.name,
      weightBytes: {
        ...Object.fromEntries(transformers.map((name) => [name, transformerBytes])),
        vae: decoderBytes,
      },
    };
    return { memory, kernels: device.kernels() };
  } finally {
    host.dispose();
    device.dispose();
  }
}

/** The first of several ranks, which has the most frames. What others would give is not waited for. */
function standInRanks(worldSize = 1): SequenceParallel | undefined {
  if (worldSize === 1) return undefined;
  const collective: Collective = { rank: 0, worldSize, allGather: async () => [] };
  return new SequenceParallel(collective, () => {});
}

/** The image encoder and the autoencoder's encoder half are there one after the other. */
async function rehearseImage(host: StandInModel, gpu: CountingGpu): Promise<MemoryPhase> {
  await host.encodeImage();
  const embedding = gpu.driverPeakBytes;
  await settle(gpu);
  await host.encodeFrames();
  const latents = gpu.driverPeakBytes;
  await settle(gpu);
  return embedding > latents
    ? phase("image encoding", embedding, undefined, "image_encoder, one layer at a time")
    : phase("image encoding", latents, undefined, "encoder of the vae");
}

async function settle(gpu: CountingGpu): Promise<void> {
  await gpu.device.releaseMemory();
  gpu.resetPeak();
}

/** A phase that does not exist takes nothing. */
function withDriver(one: MemoryPhase, bytes: number): MemoryPhase {
  if (bytes === 0 || one.bytes === 0) return one;
  return { ...one, bytes: one.bytes + bytes, items: [...one.items, { name: "the driver's own", bytes }] };
}

function phase(
  name: MemoryPhase["name"],
  bytes: number,
  weights: MemoryItem | undefined,
  rest = "activations and caches",
): MemoryPhase {
  if (bytes === 0) return { name, bytes, items: [] };
  const others = { name: rest, bytes: bytes - (weights?.bytes ?? 0) };
  return { name, bytes, items: weights ? [weights, others] : [others] };
}
