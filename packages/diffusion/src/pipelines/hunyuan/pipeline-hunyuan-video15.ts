/**
 * HunyuanVideo15Pipeline: text to video. Source: diffusers `pipelines/hunyuan_video1_5/pipeline_hunyuan_video1_5.py`.
 *
 * diffusers pads text to 1000, glyphs to 256 and images (none here) to 729 tokens and masks the padding in every
 * layer; here only real tokens exist.
 */
import { AttentionDispatcher, type CheckpointGeometry, type StepInfo } from "@lvsa/core";
import type { Device, FolderReader, Tensor } from "@lvsa/runtime";
import {
  type AutoencoderKLHunyuanVideo15Config,
  autoencoderKLHunyuanVideo15Config,
} from "../../catalog/classes/autoencoder-kl-hunyuan-video15.js";
import { closestSize } from "../../catalog/families/hunyuan-size.js";
import { AutoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { parseConfig } from "../../models/model-config.js";
import type { PassControl } from "../../models/transformers/run-blocks.js";
import { HunyuanVideo15Transformer3DModel } from "../../models/transformers/transformer-hunyuan-video15.js";
import { HUNYUAN_VIDEO_15_TEXT_LENGTH } from "../../prompts/prompts-hunyuan.js";
import { createScheduler, hunyuanVideo15Sigmas } from "../../schedulers/index.js";
import {
  hasComponent,
  type ModelIndex,
  openComponent,
  readJson,
  readModelIndex,
} from "../checkpoint-folder.js";
import { latentShape } from "../clip-sizes.js";
import { denoise, passControl } from "../denoise.js";
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
import { ClassifierFreeGuidance } from "./classifier-free-guidance.js";
import { disposePrompt, type HunyuanVideo15Prompt, HunyuanVideo15PromptEncoder } from "./hunyuan-prompts.js";

/** Videos are as wide to high as this unless a size is given. */
const DEFAULT_ASPECT = { height: 9, width: 16 };

export class HunyuanVideo15Pipeline implements VideoPipeline {
  readonly family = "hunyuan";
  readonly className: string;
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly defaults: GenerationDefaults;
  readonly #folder: FolderReader;
  readonly #transformer: HunyuanVideo15Transformer3DModel;
  readonly #vaeConfig: AutoencoderKLHunyuanVideo15Config;
  readonly #prompts: HunyuanVideo15PromptEncoder;
  readonly #schedulerConfig: unknown;
  readonly #guider: ClassifierFreeGuidance;
  readonly #keepLoaded: boolean;
  #vae: AutoencoderKLHunyuanVideo15 | undefined;
  #generation = 0;

  private constructor(parts: {
    device: Device;
    attention: AttentionDispatcher;
    folder: FolderReader;
    index: ModelIndex;
    transformer: HunyuanVideo15Transformer3DModel;
    vaeConfig: AutoencoderKLHunyuanVideo15Config;
    prompts: HunyuanVideo15PromptEncoder;
    schedulerConfig: unknown;
    guider: ClassifierFreeGuidance;
    keepLoaded: boolean;
  }) {
    this.className = parts.index._class_name;
    this.device = parts.device;
    this.attention = parts.attention;
    this.#folder = parts.folder;
    this.#transformer = parts.transformer;
    this.#vaeConfig = parts.vaeConfig;
    this.#prompts = parts.prompts;
    this.#schedulerConfig = parts.schedulerConfig;
    this.#guider = parts.guider;
    this.#keepLoaded = parts.keepLoaded;
    this.defaults = {
      // The values of diffusers' call; the size is that of its bucket rule.
      ...closestSize(
        DEFAULT_ASPECT,
        parts.transformer.config.target_size,
        parts.vaeConfig.spatial_compression_ratio,
      ),
      numFrames: 121,
      numInferenceSteps: 50,
      guidanceScale: parts.guider.config.guidance_scale,
      fps: 24,
      negativePrompt: "",
      maxSequenceLength: HUNYUAN_VIDEO_15_TEXT_LENGTH,
    };
  }

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(
    folder: FolderReader,
    options: PipelineOptions,
  ): Promise<HunyuanVideo15Pipeline> {
    const { device, attention = new AttentionDispatcher() } = options;
    const index = await readModelIndex(folder);
    const transformer = HunyuanVideo15Transformer3DModel.create(
      device,
      await readJson(folder, "transformer/config.json"),
      { attention },
    );
    transformer.computeDtype = computeDtype(device, options.precision);
    const vaeConfig = parseConfig(
      autoencoderKLHunyuanVideo15Config,
      await readJson(folder, "vae/config.json"),
      "AutoencoderKLHunyuanVideo15",
    );
    const schedulerConfig = await readJson(folder, "scheduler/scheduler_config.json");
    const guider = ClassifierFreeGuidance.fromConfig(
      hasComponent(index, "guider") ? await readJson(folder, "guider/guider_config.json") : {},
    );
    const prompts = await HunyuanVideo15PromptEncoder.open(device, folder);
    const keepLoaded = options.keepLoaded ?? false;
    const parts = { device, attention, folder, index, transformer, vaeConfig, keepLoaded };
    return new HunyuanVideo15Pipeline({ ...parts, prompts, schedulerConfig, guider });
  }

  get transformers(): readonly [HunyuanVideo15Transformer3DModel] {
    return [this.#transformer];
  }

  get geometry(): CheckpointGeometry {
    return {
      spatialFactor: this.#vaeConfig.spatial_compression_ratio,
      temporalFactor: this.#vaeConfig.temporal_compression_ratio,
      transformerConfig: this.#transformer.config,
    };
  }

  clip(numFrames: number, height: number, width: number): { latentFrames: number; patchesPerFrame: number } {
    const [, , T, h, w] = this.#latentShape(numFrames, height, width);
    const [pt, ph, pw] = this.#transformer.patchSize;
    return { latentFrames: T / pt, patchesPerFrame: (h / ph) * (w / pw) };
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    const settings = { ...this.defaults, ...withoutUndefined(options) };
    const { numFrames, height, width, numInferenceSteps: count, guidanceScale } = settings;
    const guider = this.#guider.withScale(guidanceScale);
    const seed = options.seed ?? randomSeed();
    const shape = this.#latentShape(numFrames, height, width);
    const initial = initialLatents(options.initialLatents, shape, seed);
    const scheduler = createScheduler(
      this.#schedulerConfig,
      options.flowShift === undefined ? {} : { shift: options.flowShift },
    );
    scheduler.setTimesteps(count, { sigmas: hunyuanVideo15Sigmas(count) });
    const texts = guider.isEnabled() ? [options.prompt, settings.negativePrompt] : [options.prompt];
    const prompts = await this.#prompts.encode(texts, settings.maxSequenceLength, options);
    const generation = ++this.#generation;
    try {
      await this.#loadTransformer(options);
      const final = await denoise({
        device: this.device,
        scheduler,
        initial,
        options,
        predict: async (latents, timestep, index) => {
          const step = { index, count, generation };
          const [positive, negative] = prompts;
          const control = (pass: number) => passControl(options, step, pass, negative ? 2 : 1);
          const first = await this.#predict(
            { latents, shape, timestep, step, control: control(0) },
            positive!,
          );
          options.onTensor?.(`step${index}.noise_cond`, { data: first.slice(), shape });
          if (!negative || !guider.isEnabled(index, count)) return guider.combine(first, undefined);
          const second = await this.#predict(
            { latents, shape, timestep, step, control: control(1) },
            negative,
          );
          options.onTensor?.(`step${index}.noise_uncond`, { data: second.slice(), shape });
          return guider.combine(first, second);
        },
      });
      return {
        latents: final,
        frames: this.#decode(final, options),
        frameCount: numFrames,
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
          num_inference_steps: count,
          guidance_scale: guidanceScale,
          flow_shift: options.flowShift ?? null,
          seed,
          fps: settings.fps,
        },
        notes: [...new Set(prompts.flatMap((prompt) => prompt.notes))],
      };
    } finally {
      for (const prompt of prompts) disposePrompt(prompt);
    }
  }

  dispose(): void {
    this.#transformer.dispose();
    this.#vae?.dispose();
    this.#vae = undefined;
  }

  #latentShape(numFrames: number, height: number, width: number): [number, number, number, number, number] {
    return latentShape(
      {
        temporalFactor: this.#vaeConfig.temporal_compression_ratio,
        spatialFactor: this.#vaeConfig.spatial_compression_ratio,
        patchSize: this.#transformer.patchSize,
        latentChannels: this.#vaeConfig.latent_channels,
      },
      numFrames,
      height,
      width,
    );
  }

  async #loadTransformer(options: GenerateOptions): Promise<void> {
    if (this.#transformer.isLoaded) return;
    const source = await openComponent(this.#folder, "transformer");
    try {
      await this.#transformer.load(source, {
        ...(options.signal ? { signal: options.signal } : {}),
        // Text to video never looks at images.
        only: (name) => !name.startsWith("image_embedder."),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "transformer", done, total: source.totalBytes }),
      });
    } finally {
      await source.close();
    }
  }

  async #loadVae(options: GenerateOptions): Promise<AutoencoderKLHunyuanVideo15> {
    if (this.#vae) return this.#vae;
    const source = await openComponent(this.#folder, "vae");
    try {
      this.#vae = await AutoencoderKLHunyuanVideo15.load(this.device, source, this.#vaeConfig, {
        only: (name) => name.startsWith("decoder."),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "vae", done, total: source.totalBytes }),
      });
      return this.#vae;
    } finally {
      await source.close();
    }
  }

  async #predict(
    input: {
      latents: Float32Array;
      shape: readonly number[];
      timestep: number;
      step: StepInfo;
      control: PassControl;
    },
    prompt: HunyuanVideo15Prompt,
  ): Promise<Float32Array> {
    const { device } = this;
    const latents = this.#modelInput(input.latents, input.shape);
    const output = await this.#transformer.forward({
      latents,
      timestep: input.timestep,
      ...input.control,
      encoderHiddenStates: prompt.text,
      encoderHiddenStates2: prompt.glyph,
      step: input.step,
    });
    latents.dispose();
    try {
      return await device.read(output);
    } finally {
      output.dispose();
    }
  }

  /** Noisy latents, and zeros for condition latents and mask: `[1, in_channels, T, h, w]`. */
  #modelInput(latents: Float32Array, shape: readonly number[]): Tensor {
    const channels = this.#transformer.config.in_channels;
    const data = new Float32Array((latents.length / shape[1]!) * channels);
    data.set(latents);
    return this.device.upload(data, [1, channels, ...shape.slice(2)]);
  }

  async *#decode(latents: HostTensor, options: GenerateOptions): AsyncGenerator<Uint8Array, void, undefined> {
    if (!this.#keepLoaded) this.#transformer.unload();
    await this.device.releaseMemory();
    const vae = await this.#loadVae(options);
    const normalized = this.device.upload(latents.data, latents.shape);
    const raw = vae.denormalize(normalized);
    normalized.dispose();
    const total = (latents.shape[2]! - 1) * vae.temporalFactor + 1;
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
