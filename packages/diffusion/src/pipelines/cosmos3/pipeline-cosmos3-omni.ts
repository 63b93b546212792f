/**
 * Cosmos3OmniPipeline, text to video. Source: diffusers `pipelines/cosmos/pipeline_cosmos3_omni.py`.
 *
 * There is no text encoder: the transformer's own understanding stream reads the rendered chat. It does not depend on
 * the denoising step, so it runs once per prompt, with one layer of its weights on the GPU at a time.
 */
import { AttentionDispatcher, type CheckpointGeometry, type StepInfo } from "@lvsa/core";
import { ConfigError, type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import { z } from "zod";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import {
  type WanAutoencoderConfig,
  wanAutoencoderConfigSchema,
} from "../../models/autoencoders/autoencoder-kl-wan-config.js";
import { parseConfig } from "../../models/model-config.js";
import type { Cosmos3Understanding } from "../../models/transformers/cosmos3-understanding.js";
import type { PassControl } from "../../models/transformers/run-blocks.js";
import { Cosmos3OmniTransformer } from "../../models/transformers/transformer-cosmos3.js";
import { encodeCosmos3Prompt } from "../../prompts/prompts-cosmos3.js";
import { cosmos3NativeSigmas, createScheduler, type Scheduler } from "../../schedulers/index.js";
import { openComponent, readJson, readModelIndex } from "../checkpoint-folder.js";
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

/** The values of diffusers' `Cosmos3OmniPipeline.__call__`. Prompts are never cut. */
const DEFAULTS: GenerationDefaults = {
  numFrames: 189,
  height: 720,
  width: 1280,
  numInferenceSteps: 35,
  guidanceScale: 6,
  fps: 24,
  negativePrompt: "",
  maxSequenceLength: Number.MAX_SAFE_INTEGER,
};

const NEVER_CUT = "Cosmos 3 takes prompts of any length: the maximum sequence length has no effect.";

/** What `model_index.json` says besides its components. */
const settingsSchema = z.looseObject({
  _class_name: z.string(),
  default_use_system_prompt: z.boolean().default(true),
  use_native_flow_schedule: z.boolean().default(false),
});

interface Parts {
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly folder: FolderReader;
  readonly index: z.infer<typeof settingsSchema>;
  readonly transformer: Cosmos3OmniTransformer;
  readonly tokenizer: Tokenizer;
  readonly vaeConfig: WanAutoencoderConfig;
  readonly schedulerConfig: unknown;
  readonly keepLoaded: boolean;
}

export class Cosmos3OmniPipeline implements VideoPipeline {
  readonly family = "cosmos3";
  readonly className: string;
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly defaults = DEFAULTS;
  readonly #parts: Parts;
  #vae: AutoencoderKLWan | undefined;
  #generation = 0;

  private constructor(parts: Parts) {
    this.className = parts.index._class_name;
    this.device = parts.device;
    this.attention = parts.attention;
    this.#parts = parts;
  }

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<Cosmos3OmniPipeline> {
    const { device, attention = new AttentionDispatcher(), keepLoaded = false } = options;
    const index = parseConfig(settingsSchema, await readModelIndex(folder), "Cosmos3OmniPipeline");
    const config = await readJson(folder, "transformer/config.json");
    const transformer = Cosmos3OmniTransformer.create(device, config, { attention });
    transformer.computeDtype = computeDtype(device, options.precision);
    const vaeConfig = parseConfig(
      wanAutoencoderConfigSchema,
      await readJson(folder, "vae/config.json"),
      "AutoencoderKLWan",
    );
    const schedulerConfig = await readJson(folder, "scheduler/scheduler_config.json");
    const tokenizer = await loadTokenizer(subFolder(folder, "text_tokenizer"));
    const models = { transformer, tokenizer, vaeConfig, schedulerConfig };
    return new Cosmos3OmniPipeline({ device, attention, folder, index, keepLoaded, ...models });
  }

  get transformers(): readonly [Cosmos3OmniTransformer] {
    return [this.#parts.transformer];
  }

  get geometry(): CheckpointGeometry {
    const { vaeConfig, transformer } = this.#parts;
    return {
      spatialFactor: vaeConfig.scale_factor_spatial,
      temporalFactor: vaeConfig.scale_factor_temporal,
      transformerConfig: transformer.config,
    };
  }

  clip(numFrames: number, height: number, width: number): { latentFrames: number; patchesPerFrame: number } {
    const shape = this.#latentShape(numFrames, height, width);
    const { latentFrames, patchesPerFrame } = this.#parts.transformer.geometry({ shape });
    return { latentFrames, patchesPerFrame };
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    if (options.image || options.lastImage) {
      throw new ConfigError(
        "IMAGE_UNSUPPORTED",
        "Cosmos 3 makes videos from text only here; an image was given",
        {
          fix: "Leave the image out, or use a Wan image-to-video checkpoint.",
        },
      );
    }
    const settings = { ...this.defaults, ...withoutUndefined(options) };
    const { numFrames, height, width, numInferenceSteps: count, guidanceScale, fps } = settings;
    const seed = options.seed ?? randomSeed();
    const shape = this.#latentShape(numFrames, height, width);
    const initial = initialLatents(options.initialLatents, shape, seed);
    const scheduler = this.#scheduler(count, options.flowShift);
    const prompts = await this.#understand(settings, options);
    const generation = ++this.#generation;
    try {
      await this.#loadTransformer(options);
      const [positive, negative] = prompts;
      const final = await denoise({
        device: this.device,
        scheduler,
        initial,
        options,
        predict: async (latents, timestep, index) => {
          const step = { index, count, generation };
          const input = { latents: { data: latents, shape }, timestep, step, fps };
          const control = (pass: number) => passControl(options, step, pass, negative ? 2 : 1);
          const first = await this.#predict({ ...input, control: control(0) }, positive!);
          options.onTensor?.(`step${index}.noise_cond`, { data: first.slice(), shape });
          if (!negative) return first;
          const second = await this.#predict({ ...input, control: control(1) }, negative);
          options.onTensor?.(`step${index}.noise_uncond`, { data: second.slice(), shape });
          return guide(first, second, guidanceScale);
        },
      });
      return {
        latents: final,
        frames: this.#decode(final, options),
        frameCount: numFrames,
        width,
        height,
        fps,
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
          fps,
        },
        notes: options.maxSequenceLength === undefined ? [] : [NEVER_CUT],
      };
    } finally {
      for (const prompt of prompts) prompt[Symbol.dispose]();
    }
  }

  dispose(): void {
    this.#parts.transformer.dispose();
    this.#vae?.dispose();
    this.#vae = undefined;
  }

  /** Any latent size will do: patches at the edge are padded. */
  #latentShape(numFrames: number, height: number, width: number): [number, number, number, number, number] {
    const { vaeConfig } = this.#parts;
    return latentShape(
      {
        temporalFactor: vaeConfig.scale_factor_temporal,
        spatialFactor: vaeConfig.scale_factor_spatial,
        patchSize: [1, 1, 1],
        latentChannels: vaeConfig.z_dim,
      },
      numFrames,
      height,
      width,
    );
  }

  #scheduler(count: number, flowShift: number | undefined): Scheduler {
    const overrides = flowShift === undefined ? {} : { flow_shift: flowShift };
    const scheduler = createScheduler(this.#parts.schedulerConfig, overrides);
    const isNative = this.#parts.index.use_native_flow_schedule;
    const sigmas = cosmos3NativeSigmas(count, scheduler.numTrainTimesteps);
    scheduler.setTimesteps(count, isNative ? { sigmas } : {});
    return scheduler;
  }

  /** The prompt, and the negative one where guidance is on (any scale but 1). The caller disposes them. */
  async #understand(settings: GenerateOptions & GenerationDefaults, options: GenerateOptions) {
    const { folder, index, tokenizer, transformer } = this.#parts;
    const { numFrames, height, width, fps, negativePrompt } = settings;
    const common = { numFrames, height, width, fps, useSystemPrompt: index.default_use_system_prompt };
    const ids = [encodeCosmos3Prompt(tokenizer, options.prompt, common).ids];
    if (settings.guidanceScale !== 1) {
      ids.push(encodeCosmos3Prompt(tokenizer, negativePrompt, { ...common, negative: true }).ids);
    }
    const source = await openComponent(folder, "transformer");
    try {
      return await transformer.understand(source, ids, {
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done, total) => options.onStage?.({ stage: "encode-prompt", done, total }),
      });
    } finally {
      await source.close();
    }
  }

  async #loadTransformer(options: GenerateOptions): Promise<void> {
    const { folder, transformer } = this.#parts;
    if (transformer.isLoaded) return;
    const source = await openComponent(folder, "transformer");
    try {
      const total = transformer.generationBytes(source);
      await transformer.load(source, {
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done) => options.onStage?.({ stage: "load", component: "transformer", done, total }),
      });
    } finally {
      await source.close();
    }
  }

  async #loadVae(options: GenerateOptions): Promise<AutoencoderKLWan> {
    if (this.#vae) return this.#vae;
    const { folder, vaeConfig } = this.#parts;
    const source = await openComponent(folder, "vae");
    try {
      this.#vae = await AutoencoderKLWan.load(this.device, source, vaeConfig, {
        only: (name) => name.startsWith("decoder.") || name.startsWith("post_quant_conv."),
        onProgress: (done) =>
          options.onStage?.({ stage: "load", component: "vae", done, total: source.totalBytes }),
      });
      return this.#vae;
    } finally {
      await source.close();
    }
  }

  async #predict(
    input: { latents: HostTensor; timestep: number; step: StepInfo; fps: number; control: PassControl },
    understanding: Cosmos3Understanding,
  ): Promise<Float32Array> {
    const { device } = this;
    const { timestep, step, fps, control } = input;
    const latents = device.upload(input.latents.data, input.latents.shape);
    const output = await this.#parts.transformer.forward({
      latents,
      timestep,
      understanding,
      fps,
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

  async *#decode(latents: HostTensor, options: GenerateOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { device } = this;
    if (!this.#parts.keepLoaded) this.#parts.transformer.unload();
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
