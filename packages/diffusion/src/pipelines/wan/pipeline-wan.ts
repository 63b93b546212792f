/**
 * WanPipeline: Wan 2.1 and 2.2, text to video and (with given image embeddings) image to video.
 * Sources: diffusers `pipelines/wan/pipeline_wan.py` and `pipeline_wan_i2v.py`.
 */
import { AttentionDispatcher, type CheckpointGeometry, type StepInfo } from "@lvsa/core";
import { ConfigError, type Device, type FolderReader, type Tensor } from "@lvsa/runtime";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import {
  type WanAutoencoderConfig,
  wanAutoencoderConfigSchema,
} from "../../models/autoencoders/autoencoder-kl-wan-config.js";
import { parseConfig } from "../../models/model-config.js";
import type { PassControl } from "../../models/transformers/run-blocks.js";
import { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { createScheduler } from "../../schedulers/index.js";
import {
  hasComponent,
  type ModelIndex,
  openComponent,
  readJson,
  readModelIndex,
} from "../checkpoint-folder.js";
import { latentShape } from "../clip-sizes.js";
import { denoise, guide, passControl } from "../denoise.js";
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
import { encodeImages, givenFramesMask, preprocessImage } from "./wan-image-condition.js";
import { type ImageCondition, modelInput, tokenTimesteps, withFirstFrame } from "./wan-model-input.js";
import { type EncodedPrompt, WanPromptEncoder } from "./wan-prompts.js";

/** The values of diffusers' `WanPipeline.__call__` and, for fps, its examples. */
const DEFAULTS: GenerationDefaults = {
  numFrames: 81,
  height: 480,
  width: 832,
  numInferenceSteps: 50,
  guidanceScale: 5,
  fps: 16,
  negativePrompt: "",
  maxSequenceLength: 512,
};

/** A transformer and the component folder its weights lie in. */
interface Stage {
  readonly component: "transformer" | "transformer_2";
  readonly model: WanTransformer3DModel;
}

/** What does not change between the steps of one generation. */
interface Conditions extends ImageCondition {
  readonly positive: EncodedPrompt;
  readonly negative: EncodedPrompt | undefined;
  readonly imageEmbeds: Tensor | undefined;
}

export class WanPipeline implements VideoPipeline {
  readonly family = "wan";
  readonly className: string;
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly defaults = DEFAULTS;
  readonly #folder: FolderReader;
  readonly #index: ModelIndex;
  readonly #stages: readonly Stage[];
  readonly #vaeConfig: WanAutoencoderConfig;
  readonly #prompts: WanPromptEncoder;
  readonly #schedulerConfig: unknown;
  readonly #keepLoaded: boolean;
  #vae: AutoencoderKLWan | undefined;
  #generation = 0;

  private constructor(parts: {
    device: Device;
    attention: AttentionDispatcher;
    folder: FolderReader;
    index: ModelIndex;
    stages: readonly Stage[];
    vaeConfig: WanAutoencoderConfig;
    prompts: WanPromptEncoder;
    schedulerConfig: unknown;
    keepLoaded: boolean;
  }) {
    this.className = parts.index._class_name;
    this.device = parts.device;
    this.attention = parts.attention;
    this.#folder = parts.folder;
    this.#index = parts.index;
    this.#stages = parts.stages;
    this.#vaeConfig = parts.vaeConfig;
    this.#prompts = parts.prompts;
    this.#schedulerConfig = parts.schedulerConfig;
    this.#keepLoaded = parts.keepLoaded;
  }

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<WanPipeline> {
    const { device, attention = new AttentionDispatcher() } = options;
    const index = await readModelIndex(folder);
    const components = (["transformer", "transformer_2"] as const).filter((name) =>
      hasComponent(index, name),
    );
    const stages = await Promise.all(
      components.map(async (component) => {
        const config = await readJson(folder, `${component}/config.json`);
        const model = WanTransformer3DModel.create(device, config, { attention, name: component });
        model.computeDtype = computeDtype(device, options.precision);
        return { component, model };
      }),
    );
    if (stages.length === 0)
      throw new ConfigError("NOT_A_CHECKPOINT", "model_index.json lists no transformer");
    const vaeConfig = parseConfig(
      wanAutoencoderConfigSchema,
      await readJson(folder, "vae/config.json"),
      "AutoencoderKLWan",
    );
    const schedulerConfig = await readJson(folder, "scheduler/scheduler_config.json");
    const prompts = await WanPromptEncoder.open(device, folder);
    const keepLoaded = options.keepLoaded ?? false;
    return new WanPipeline({
      device,
      attention,
      folder,
      index,
      stages,
      vaeConfig,
      prompts,
      schedulerConfig,
      keepLoaded,
    });
  }

  get transformers(): readonly WanTransformer3DModel[] {
    return this.#stages.map((stage) => stage.model);
  }

  get geometry(): CheckpointGeometry {
    return {
      spatialFactor: this.#vaeConfig.scale_factor_spatial,
      temporalFactor: this.#vaeConfig.scale_factor_temporal,
      transformerConfig: this.#stages[0]!.model.config,
    };
  }

  clip(numFrames: number, height: number, width: number): { latentFrames: number; patchesPerFrame: number } {
    const [, , T, h, w] = this.#latentShape(numFrames, height, width);
    const [pt, ph, pw] = this.#stages[0]!.model.config.patch_size;
    return { latentFrames: T / pt, patchesPerFrame: (h / ph) * (w / pw) };
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    const { device } = this;
    const settings = { ...this.defaults, ...withoutUndefined(options) };
    const { numFrames, height, width, numInferenceSteps, guidanceScale, maxSequenceLength } = settings;
    const guidanceScale2 = options.guidanceScale2 ?? guidanceScale;
    const seed = options.seed ?? randomSeed();
    const shape = this.#latentShape(numFrames, height, width);
    const initial = initialLatents(options.initialLatents, shape, seed);
    const scheduler = createScheduler(
      this.#schedulerConfig,
      options.flowShift === undefined ? {} : { flow_shift: options.flowShift },
    );
    scheduler.setTimesteps(numInferenceSteps);
    const conditions = await this.#conditions(settings, options, shape);
    const generation = ++this.#generation;
    try {
      let final = await denoise({
        device,
        scheduler,
        initial,
        options,
        predict: async (latents, timestep, index) => {
          const stage = this.#stageOf(timestep, scheduler.numTrainTimesteps);
          await this.#loadStage(stage, options);
          const step = { index, count: numInferenceSteps, generation };
          const input = { latents, shape, timestep, step, conditions };
          const passes = conditions.negative ? 2 : 1;
          const control = (pass: number) => passControl(options, step, pass, passes);
          const positive = await this.#predict(
            stage.model,
            { ...input, control: control(0) },
            conditions.positive,
          );
          options.onTensor?.(`step${index}.noise_cond`, { data: positive.slice(), shape });
          if (!conditions.negative) return positive;
          const negative = await this.#predict(
            stage.model,
            { ...input, control: control(1) },
            conditions.negative,
          );
          options.onTensor?.(`step${index}.noise_uncond`, { data: negative.slice(), shape });
          const isSecond = stage.component === "transformer_2";
          return guide(positive, negative, isSecond ? guidanceScale2 : guidanceScale);
        },
      });
      if (conditions.firstFrame)
        final = { shape, data: withFirstFrame(final.data, conditions.firstFrame, shape) };
      const notes = [conditions.positive, conditions.negative].some((p) => p?.wasTruncated)
        ? [`The prompt was cut to ${maxSequenceLength} tokens.`]
        : [];
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
          num_inference_steps: numInferenceSteps,
          guidance_scale: guidanceScale,
          guidance_scale_2: this.#stages.length > 1 ? guidanceScale2 : null,
          flow_shift: options.flowShift ?? null,
          seed,
          fps: settings.fps,
        },
        notes,
      };
    } finally {
      conditions.positive.embeds.dispose();
      conditions.negative?.embeds.dispose();
      conditions.imageEmbeds?.dispose();
    }
  }

  dispose(): void {
    for (const { model } of this.#stages) model.dispose();
    this.#vae?.dispose();
    this.#vae = undefined;
  }

  #latentShape(numFrames: number, height: number, width: number): [number, number, number, number, number] {
    return latentShape(
      {
        temporalFactor: this.#vaeConfig.scale_factor_temporal,
        spatialFactor: this.#vaeConfig.scale_factor_spatial,
        patchSize: this.#stages[0]!.model.config.patch_size,
        latentChannels: this.#vaeConfig.z_dim,
      },
      numFrames,
      height,
      width,
    );
  }

  async #conditions(
    settings: GenerationDefaults,
    options: GenerateOptions,
    shape: readonly number[],
  ): Promise<Conditions> {
    const { config } = this.#stages[0]!.model;
    const wantsImage =
      this.className === "WanImageToVideoPipeline" || config.in_channels > this.#vaeConfig.z_dim;
    if (wantsImage && !options.image) {
      throw new ConfigError(
        "IMAGE_NEEDED",
        `${this.className} makes a video from an image, and none was given`,
        {
          fix: "Pass `image` (library), or use a text-to-video checkpoint.",
        },
      );
    }
    if (config.image_dim !== null && !options.imageEmbeds) {
      throw new ConfigError(
        "IMAGE_EMBEDS_NEEDED",
        "this checkpoint needs image embeddings, and none were given",
        {
          fix: "Pass `imageEmbeds` (CLIP's penultimate hidden states); the image encoder is not part of this package.",
        },
      );
    }
    // The transformer expects exactly 512 text rows behind the image tokens.
    const rows = config.image_dim !== null ? 512 : settings.maxSequenceLength;
    const texts = settings.guidanceScale > 1 ? [options.prompt, settings.negativePrompt] : [options.prompt];
    const [positive, negative] = await this.#prompts.encode(texts, rows, options);
    const image = options.image ? await this.#imageCondition(settings, options, shape) : {};
    return {
      positive: positive!,
      negative,
      imageEmbeds: options.imageEmbeds
        ? this.device.upload(options.imageEmbeds.data, options.imageEmbeds.shape)
        : undefined,
      channels: image.channels,
      firstFrame: image.firstFrame,
    };
  }

  async #imageCondition(
    settings: GenerationDefaults,
    options: GenerateOptions,
    shape: readonly number[],
  ): Promise<{ channels?: Float32Array; firstFrame?: Float32Array }> {
    const { numFrames, height, width } = settings;
    const vae = await this.#loadVae(options);
    const first = preprocessImage(options.image!, height, width);
    if (this.#expandsTimesteps) {
      const { data } = await encodeImages(this.device, vae, { first }, 1, height, width);
      options.onTensor?.("condition", { data: data.slice(), shape: [1, shape[1]!, 1, shape[3]!, shape[4]!] });
      return { firstFrame: data };
    }
    const last = options.lastImage ? preprocessImage(options.lastImage, height, width) : undefined;
    const images = last ? { first, last } : { first };
    const encoded = await encodeImages(this.device, vae, images, numFrames, height, width);
    const cells = shape[3]! * shape[4]!;
    const mask = givenFramesMask(shape[2]!, cells, this.#vaeConfig.scale_factor_temporal, last !== undefined);
    const channels = new Float32Array(mask.length + encoded.data.length);
    channels.set(mask);
    channels.set(encoded.data, mask.length);
    const count = channels.length / (shape[2]! * cells);
    options.onTensor?.("condition", { data: channels.slice(), shape: [1, count, ...shape.slice(2)] });
    return { channels };
  }

  get #expandsTimesteps(): boolean {
    return (this.#index as { expand_timesteps?: unknown }).expand_timesteps === true;
  }

  /** The high-noise transformer down to the boundary, the other below. */
  #stageOf(timestep: number, trainTimesteps: number): Stage {
    const ratio = (this.#index as { boundary_ratio?: unknown }).boundary_ratio;
    const isSecond = typeof ratio === "number" && timestep < ratio * trainTimesteps;
    return this.#stages[isSecond ? this.#stages.length - 1 : 0]!;
  }

  /** Loads a transformer; the other one of a two-stage model makes room. */
  async #loadStage(stage: Stage, options: GenerateOptions): Promise<void> {
    if (stage.model.isLoaded) return;
    for (const other of this.#stages) if (other !== stage) other.model.unload();
    const source = await openComponent(this.#folder, stage.component);
    try {
      await stage.model.load(source, {
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: stage.component, done, total: source.totalBytes }),
      });
    } finally {
      await source.close();
    }
  }

  async #loadVae(options: GenerateOptions): Promise<AutoencoderKLWan> {
    if (this.#vae) return this.#vae;
    const source = await openComponent(this.#folder, "vae");
    try {
      this.#vae = await AutoencoderKLWan.load(this.device, source, this.#vaeConfig, {
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "vae", done, total: source.totalBytes }),
      });
      return this.#vae;
    } finally {
      await source.close();
    }
  }

  async #predict(
    model: WanTransformer3DModel,
    input: {
      latents: Float32Array;
      shape: readonly number[];
      timestep: number;
      step: StepInfo;
      conditions: Conditions;
      control: PassControl;
    },
    prompt: EncodedPrompt,
  ): Promise<Float32Array> {
    const { device } = this;
    const { shape, timestep, step, conditions, control } = input;
    const { data, channels } = modelInput(input.latents, shape, conditions);
    const latents = device.upload(data, [1, channels, ...shape.slice(2)]);
    const output = await model.forward({
      latents,
      timestep: conditions.firstFrame
        ? tokenTimesteps(timestep, this.#tokensPerFrame(shape), shape[2]!)
        : timestep,
      encoderHiddenStates: prompt.embeds,
      ...(conditions.imageEmbeds ? { encoderHiddenStatesImage: conditions.imageEmbeds } : {}),
      step,
      ...control,
    });
    latents.dispose();
    try {
      return await device.read(output);
    } finally {
      output.dispose();
    }
  }

  #tokensPerFrame(shape: readonly number[]): number {
    const [, ph, pw] = this.#stages[0]!.model.config.patch_size;
    return (shape[3]! / ph) * (shape[4]! / pw);
  }

  async *#decode(latents: HostTensor, options: GenerateOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { device } = this;
    if (!this.#keepLoaded) for (const { model } of this.#stages) model.unload();
    await device.releaseMemory();
    const vae = await this.#loadVae(options);
    const normalized = device.upload(latents.data, latents.shape);
    const raw = vae.denormalize(normalized);
    normalized.dispose();
    const total = latents.shape[2]!;
    try {
      yield* rgbFrames(device, vae.decode(raw), {
        ...(options.signal ? { signal: options.signal } : {}),
        onChunk: (done) => options.onStage?.({ stage: "decode", done, total }),
      });
    } finally {
      raw.dispose();
    }
  }
}
