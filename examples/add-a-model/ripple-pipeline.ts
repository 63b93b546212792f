/**
 * What `Engine.open` needs to run Ripple: a pipeline. This one "decodes" by painting each frame in one grey; real ones load
 * weights, encode prompts and decode latents, but show the engine the same members.
 */
import { AttentionDispatcher } from "@lvsa/core";
import {
  type DecodeOptions,
  type DecodeResult,
  type GenerateOptions,
  type GenerationDefaults,
  type GenerationResult,
  LatentPreview,
  type PipelineOptions,
  TorchCpuGenerator,
  type VideoPipeline,
  type VideoSizeOptions,
} from "@lvsa/diffusion";
import { type Device, type FolderReader, UsageError } from "@lvsa/runtime";
import { createRippleAdapter } from "./ripple-adapter.js";
import { RIPPLE_CONFIG, RippleTransformer } from "./ripple-transformer.js";

export class RipplePipeline implements VideoPipeline {
  readonly className = "RipplePipeline";
  readonly family = "ripple";
  readonly defaults: GenerationDefaults = {
    ...{ numFrames: 33, height: 32, width: 48, fps: 8 },
    ...{ numInferenceSteps: 2, guidanceScale: 1, negativePrompt: "", maxSequenceLength: 64 },
  };
  readonly geometry = { spatialFactor: 8, temporalFactor: 4, transformerConfig: { ...RIPPLE_CONFIG } };
  readonly transformers: readonly [RippleTransformer];
  readonly #adapter = createRippleAdapter();
  #generation = 0;

  /** A checkpoint's weights are read from `folder`; Ripple's are random. */
  static async fromPretrained(_folder: FolderReader, options: PipelineOptions): Promise<RipplePipeline> {
    return new RipplePipeline(options.device, options.attention ?? new AttentionDispatcher());
  }

  constructor(
    readonly device: Device,
    readonly attention: AttentionDispatcher,
  ) {
    this.transformers = [new RippleTransformer(device, RIPPLE_CONFIG, attention)];
  }

  videoSize(options: VideoSizeOptions) {
    const { numFrames, height, width } = { ...this.defaults, ...options };
    return { numFrames, height, width };
  }

  clip(numFrames: number, height: number, width: number) {
    return {
      latentFrames: this.#adapter.latentFrames(numFrames, this.geometry),
      patchesPerFrame: this.#adapter.patchesPerFrame(height, width, this.geometry),
    };
  }

  async latentPreview() {
    return new LatentPreview(false);
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    if (!options.prompt) {
      throw new UsageError("NO_PROMPT", "there is no prompt", { fix: "Say what the video shows." });
    }
    const { numFrames, height, width, numInferenceSteps: count } = { ...this.defaults, ...options };
    const { seed = 0 } = options;
    const { latentFrames, patchesPerFrame } = this.clip(numFrames, height, width);
    const geometry = { latentFrames, patchesPerFrame, height: height / 16, width: width / 16 };
    const channels = RIPPLE_CONFIG.num_attention_heads * RIPPLE_CONFIG.attention_head_dim;
    const shape = [1, latentFrames * patchesPerFrame, channels];
    const generation = ++this.#generation;
    let data: Float32Array = new TorchCpuGenerator(seed).randn(shape);
    for (let index = 0; index < count; index++) {
      options.signal?.throwIfAborted();
      using noisy = this.device.upload(data, shape);
      // The step goes with every call: keyframes rotate by it, and a new generation starts anew.
      using output = this.transformers[0].forward(noisy, geometry, { index, count, generation });
      data = await this.device.read(output);
    }
    const latents = { data, shape };
    return {
      ...(await this.decode({ ...options, latents })),
      ...{ latents, seed, notes: [] },
      settings: { prompt: options.prompt, num_frames: numFrames, num_inference_steps: count },
    };
  }

  async decode({ latents: { data, shape }, ...options }: DecodeOptions): Promise<DecodeResult> {
    const { numFrames, height, width, fps } = { ...this.defaults, ...options };
    const { patchesPerFrame } = this.clip(numFrames, height, width);
    const grey = (frame: number) =>
      128 + 64 * Math.tanh(data[Math.floor((frame + 3) / 4) * patchesPerFrame * shape[2]!]!);
    async function* paint() {
      for (let f = 0; f < numFrames; f++) yield new Uint8Array(height * width * 3).fill(grey(f));
    }
    return { frames: paint(), frameCount: numFrames, height, width, fps, settings: {}, notes: [] };
  }

  dispose(): void {
    this.transformers[0].dispose();
  }
}
