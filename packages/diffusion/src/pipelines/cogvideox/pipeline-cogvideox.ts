/**
 * CogVideoXPipeline: text to video with CogVideoX 2B, 5B and 1.5. Source: diffusers
 * `pipelines/cogvideo/pipeline_cogvideox.py`. Latents are `[1, T, C, h, w]`: frames before channels.
 */
import { AttentionDispatcher, type CheckpointGeometry } from "@lvsa/core";
import type { Device, FolderReader } from "@lvsa/runtime";
import {
  type AutoencoderKLCogVideoXConfig,
  autoencoderKLCogVideoXConfig,
} from "../../catalog/classes/autoencoder-kl-cogvideox.js";
import { cogVideoXRules } from "../../catalog/families/cogvideox.js";
import {
  AutoencoderKLCogVideoX,
  cogVideoXSpatialFactor,
} from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import { parseConfig } from "../../models/model-config.js";
import { cogVideoXRotaryAxes } from "../../models/transformers/cogvideox-positions.js";
import { CogVideoXTransformer3DModel } from "../../models/transformers/transformer-cogvideox.js";
import { TorchCpuGenerator } from "../../random/index.js";
import { createScheduler } from "../../schedulers/index.js";
import { openComponent, readJson, readModelIndex } from "../checkpoint-folder.js";
import { latentShape } from "../clip-sizes.js";
import { computeDtype, initialLatents, randomSeed, withoutUndefined } from "../generation-start.js";
import { rgbFrames } from "../rgb-frames.js";
import type {
  GenerateOptions,
  GenerationDefaults,
  GenerationResult,
  HostTensor,
  PipelineOptions,
  VideoPipeline,
} from "../video-pipeline.js";
import { denoiseCogVideoX } from "./cogvideox-denoise.js";
import { rawLatents } from "./cogvideox-latents.js";
import { CogVideoXPromptEncoder } from "./cogvideox-prompts.js";

export class CogVideoXPipeline implements VideoPipeline {
  readonly family = "cogvideox";
  readonly className: string;
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly defaults: GenerationDefaults;
  readonly #folder: FolderReader;
  readonly #transformer: CogVideoXTransformer3DModel;
  readonly #vaeConfig: AutoencoderKLCogVideoXConfig;
  readonly #prompts: CogVideoXPromptEncoder;
  readonly #schedulerConfig: unknown;
  readonly #keepLoaded: boolean;
  #vae: AutoencoderKLCogVideoX | undefined;
  #generation = 0;

  private constructor(parts: {
    device: Device;
    attention: AttentionDispatcher;
    folder: FolderReader;
    className: string;
    transformer: CogVideoXTransformer3DModel;
    vaeConfig: AutoencoderKLCogVideoXConfig;
    prompts: CogVideoXPromptEncoder;
    schedulerConfig: unknown;
    keepLoaded: boolean;
  }) {
    this.className = parts.className;
    this.device = parts.device;
    this.attention = parts.attention;
    this.#folder = parts.folder;
    this.#transformer = parts.transformer;
    this.#vaeConfig = parts.vaeConfig;
    this.#prompts = parts.prompts;
    this.#schedulerConfig = parts.schedulerConfig;
    this.#keepLoaded = parts.keepLoaded;
    const { config } = parts.transformer;
    this.defaults = {
      ...cogVideoXRules.defaults({ transformer: config, vae: parts.vaeConfig }),
      negativePrompt: "",
      maxSequenceLength: config.max_text_seq_length,
    };
  }

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<CogVideoXPipeline> {
    const { device, attention = new AttentionDispatcher(), keepLoaded = false } = options;
    const { _class_name: className } = await readModelIndex(folder);
    const transformer = CogVideoXTransformer3DModel.create(
      device,
      await readJson(folder, "transformer/config.json"),
      { attention },
    );
    transformer.computeDtype = computeDtype(device, options.precision);
    const vaeConfig = parseConfig(
      autoencoderKLCogVideoXConfig,
      await readJson(folder, "vae/config.json"),
      "AutoencoderKLCogVideoX",
    );
    const schedulerConfig = await readJson(folder, "scheduler/scheduler_config.json");
    const prompts = await CogVideoXPromptEncoder.open(device, folder);
    const parts = { device, attention, folder, className, transformer, vaeConfig, prompts };
    return new CogVideoXPipeline({ ...parts, schedulerConfig, keepLoaded });
  }

  get transformers(): readonly [CogVideoXTransformer3DModel] {
    return [this.#transformer];
  }

  get geometry(): CheckpointGeometry {
    return {
      spatialFactor: cogVideoXSpatialFactor(this.#vaeConfig),
      temporalFactor: this.#vaeConfig.temporal_compression_ratio,
      transformerConfig: this.#transformer.config,
    };
  }

  clip(numFrames: number, height: number, width: number): { latentFrames: number; patchesPerFrame: number } {
    const { tokens } = this.#size(numFrames, height, width);
    return { latentFrames: tokens.latentFrames, patchesPerFrame: tokens.patchesPerFrame };
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    const { device } = this;
    const settings = { ...this.defaults, ...withoutUndefined(options) };
    const { numFrames, height, width, numInferenceSteps, guidanceScale, maxSequenceLength } = settings;
    const { useDynamicGuidance = false } = options;
    const seed = options.seed ?? randomSeed();
    const { shape, padding } = this.#size(numFrames, height, width);
    // Schedulers that add noise go on drawing from the generator of the initial latents.
    const generator = new TorchCpuGenerator(seed);
    const initial = initialLatents(options.initialLatents, shape, generator);
    const scheduler = createScheduler(this.#schedulerConfig);
    scheduler.setTimesteps(numInferenceSteps);
    const texts = guidanceScale > 1 ? [options.prompt, settings.negativePrompt] : [options.prompt];
    const prompts = await this.#prompts.encode(texts, maxSequenceLength, options);
    const generation = ++this.#generation;
    try {
      await this.#loadTransformer(options);
      const latents = await denoiseCogVideoX({
        device,
        transformer: this.#transformer,
        scheduler,
        initial,
        positive: prompts[0]!.embeds,
        negative: prompts[1]?.embeds,
        guidanceScale,
        useDynamicGuidance,
        drawNoise: () => generator.randn(shape),
        options,
        generation,
      });
      const frameCount = this.#decodedFrames(shape[1]! - padding);
      const notes = [
        ...(prompts.some((p) => p.wasTruncated)
          ? [`The prompt was cut to ${maxSequenceLength} tokens.`]
          : []),
        ...(frameCount === numFrames
          ? []
          : [`The autoencoder makes ${frameCount} frames where ${numFrames} were asked for.`]),
        ...(options.flowShift === undefined
          ? []
          : ["CogVideoX has no flow shift; the setting was not used."]),
      ];
      return {
        latents,
        frames: this.#decode(latents, padding, options),
        frameCount,
        width,
        height,
        fps: settings.fps,
        seed,
        settings: {
          prompt: options.prompt,
          negative_prompt: settings.negativePrompt,
          num_frames: numFrames,
          height,
          width,
          num_inference_steps: numInferenceSteps,
          guidance_scale: guidanceScale,
          use_dynamic_cfg: useDynamicGuidance,
          seed,
          fps: settings.fps,
        },
        notes,
      };
    } finally {
      for (const { embeds } of prompts) embeds.dispose();
    }
  }

  dispose(): void {
    this.#transformer.dispose();
    this.#vae?.dispose();
    this.#vae = undefined;
  }

  /**
   * Latents `[1, T, C, h, w]` of a clip, how many of the T are padding in front (1.5 joins latent frames in pairs), and
   * the token grid. @throws ConfigError when the sizes do not fit the model
   */
  #size(numFrames: number, height: number, width: number) {
    const { config } = this.#transformer;
    const { patch_size: p, patch_size_t } = config;
    const pt = patch_size_t ?? 1;
    const { spatialFactor, temporalFactor } = this.geometry;
    const grid = { spatialFactor, temporalFactor, patchSize: [pt, p, p] as const };
    const [, channels, T, h, w] = latentShape(
      { ...grid, latentChannels: config.in_channels },
      numFrames,
      height,
      width,
    );
    const padding = (pt - (T % pt)) % pt;
    const frame = { height: h / p, width: w / p };
    const tokens = {
      latentFrames: (T + padding) / pt,
      patchesPerFrame: frame.height * frame.width,
      ...frame,
    };
    // Throws where the model has no positions for the size.
    if (config.use_rotary_positional_embeddings) cogVideoXRotaryAxes(config, tokens, undefined);
    return { shape: [1, T + padding, channels, h, w], padding, tokens };
  }

  /** An even number of latent frames has no frame that stands alone. */
  #decodedFrames(latentFrames: number): number {
    const factor = this.#vaeConfig.temporal_compression_ratio;
    return latentFrames % 2 === 1 ? (latentFrames - 1) * factor + 1 : latentFrames * factor;
  }

  async #loadTransformer(options: GenerateOptions): Promise<void> {
    if (this.#transformer.isLoaded) return;
    const source = await openComponent(this.#folder, "transformer");
    try {
      await this.#transformer.load(source, {
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "transformer", done, total: source.totalBytes }),
      });
    } finally {
      await source.close();
    }
  }

  async #loadVae(options: GenerateOptions): Promise<AutoencoderKLCogVideoX> {
    if (this.#vae) return this.#vae;
    const source = await openComponent(this.#folder, "vae");
    try {
      this.#vae = await AutoencoderKLCogVideoX.load(this.device, source, this.#vaeConfig, {
        only: (name) => name.startsWith("decoder."),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "vae", done, total: source.totalBytes }),
      });
      return this.#vae;
    } finally {
      await source.close();
    }
  }

  async *#decode(
    latents: HostTensor,
    padding: number,
    options: GenerateOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (!this.#keepLoaded) this.#transformer.unload();
    await this.device.releaseMemory();
    const vae = await this.#loadVae(options);
    const raw = rawLatents(this.device, vae, latents, padding);
    const total = this.#decodedFrames(raw.dim(2));
    try {
      yield* rgbFrames(this.device, vae.decode(raw), {
        ...(options.signal ? { signal: options.signal } : {}),
        onChunk: (done) => options.onStage?.({ stage: "decode", done, total }),
      });
    } finally {
      raw.dispose();
    }
  }
}
