/**
 * WanPipeline: Wan 2.1 and 2.2, text to video and (with given image embeddings) image to video.
 * Sources: diffusers `pipelines/wan/pipeline_wan.py` and `pipeline_wan_i2v.py`.
 */
import { ConfigError, type FolderReader, type Tensor } from "@lvsa/runtime";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import {
  type WanAutoencoderConfig,
  wanAutoencoderConfigSchema,
} from "../../models/autoencoders/autoencoder-kl-wan-config.js";
import { parseConfig } from "../../models/model-config.js";
import { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { hasComponent, type ModelIndex, readJson, readModelIndex } from "../checkpoint-folder.js";
import { latentShape } from "../clip-sizes.js";
import { Component } from "../component.js";
import type { StepInput } from "../denoise.js";
import {
  type ClipPlan,
  type ClipSize,
  type Conditions,
  DiffusionPipeline,
  openParts,
  type PipelineParts,
  type Run,
  type Settings,
  type Stage,
  stageOf,
} from "../diffusion-pipeline.js";
import { scaledGuidance } from "../guidance.js";
import { withoutEffect } from "../notes.js";
import { checkEmbeds, encodePrompts } from "../prompt-embeds.js";
import { schedulerFor } from "../shifted-scheduler.js";
import type { GenerateOptions, GenerationDefaults, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { imageCondition } from "./wan-image-condition.js";
import { type ImageCondition, modelInput, tokenTimesteps, withFirstFrame } from "./wan-model-input.js";
import { checkWanOptions, type WanAbilities, wanOptions } from "./wan-options.js";
import { WanPromptEncoder } from "./wan-prompts.js";

/** The values of diffusers' `WanPipeline.__call__` and, for fps, its examples. */
const DEFAULTS: GenerationDefaults = {
  ...{ numFrames: 81, height: 480, width: 832, numInferenceSteps: 50, guidanceScale: 5, fps: 16 },
  ...{ negativePrompt: "", maxSequenceLength: 512 },
};
/** Text rows that a transformer with image tokens expects. */
const ROWS_WITH_IMAGE = 512;

interface WanParts extends PipelineParts<WanTransformer3DModel, AutoencoderKLWan> {
  readonly index: ModelIndex & { readonly boundary_ratio?: unknown; readonly expand_timesteps?: unknown };
  readonly vaeConfig: WanAutoencoderConfig;
  readonly prompts: WanPromptEncoder;
}

/** What one prediction is conditioned on. */
interface Condition extends ImageCondition {
  readonly text: Tensor;
  readonly imageEmbeds: Tensor | undefined;
}

interface WanPlan extends ClipPlan {
  readonly shape: readonly [number, number, number, number, number];
}

export class WanPipeline extends DiffusionPipeline<WanParts, WanPlan, Condition> {
  readonly family = "wan";
  readonly defaults = DEFAULTS;
  protected override readonly options = wanOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<WanPipeline> {
    const { device } = options;
    const index = await readModelIndex(folder);
    const parts = await openParts(folder, options);
    const names = ["transformer", "transformer_2"].filter((name) => hasComponent(index, name));
    const [first, ...others] = await Promise.all(
      names.map(async (name) => {
        const config = await readJson(folder, `${name}/config.json`);
        const model = WanTransformer3DModel.create(device, config, { attention: parts.attention, name });
        return stageOf(folder, name, model, options);
      }),
    );
    if (!first) throw new ConfigError("NOT_A_CHECKPOINT", "model_index.json lists no transformer");
    const json = await readJson(folder, "vae/config.json");
    const vaeConfig = parseConfig(wanAutoencoderConfigSchema, json, "AutoencoderKLWan");
    const vae = new Component({
      ...{ folder, name: "vae" },
      load: (source, loading) => AutoencoderKLWan.load(device, source, vaeConfig, loading),
      unload: (model) => model.dispose(),
    });
    const prompts = await WanPromptEncoder.open(device, folder);
    const stages: WanParts["stages"] = [first, ...others];
    return new WanPipeline({
      ...parts,
      className: index._class_name,
      index,
      stages,
      vae,
      vaeConfig,
      prompts,
    });
  }

  get geometry() {
    const { scale_factor_spatial: spatialFactor, scale_factor_temporal: temporalFactor } =
      this.parts.vaeConfig;
    return { spatialFactor, temporalFactor, transformerConfig: this.transformers[0].config };
  }

  clip(numFrames: number, height: number, width: number): ClipSize {
    const [, , T, h, w] = this.#latentShape(numFrames, height, width);
    const [pt, ph, pw] = this.transformers[0].config.patch_size;
    return { latentFrames: T / pt, patchesPerFrame: (h / ph) * (w / pw) };
  }

  protected override plan(settings: Settings, given: GenerateOptions): WanPlan {
    const { numFrames, height, width, guidanceScale } = settings;
    const shape = this.#latentShape(numFrames, height, width);
    checkWanOptions(given, this.#abilities);
    const { image_dim: imageDim, text_dim: textDim } = this.transformers[0].config;
    const rows = imageDim === null ? undefined : ROWS_WITH_IMAGE;
    for (const name of ["promptEmbeds", "negativePromptEmbeds"] as const) {
      checkEmbeds(name, given[name], textDim, rows);
    }
    if (imageDim !== null) checkEmbeds("imageEmbeds", given.imageEmbeds, imageDim);
    const { scheduler, used, notes } = schedulerFor(this.parts.schedulerConfig, settings.flowShift);
    scheduler.setTimesteps(settings.numInferenceSteps);
    const second = settings.guidanceScale2 ?? guidanceScale;
    const isOn = guidanceScale > 1;
    const scaleAt = (timestep: number) =>
      this.#isSecondAt(timestep, scheduler.numTrainTimesteps) ? second : guidanceScale;
    const usesSecond = isOn && this.parts.stages.length > 1;
    return {
      ...{ shape, scheduler, guidance: scaledGuidance(isOn, scaleAt) },
      settings: { ...settings, maxSequenceLength: rows ?? settings.maxSequenceLength },
      used: { guidance_scale_2: usesSecond ? second : null, ...used },
      notes: [
        ...notes,
        ...(given.guidanceScale2 !== undefined && !isOn
          ? [withoutEffect("guidanceScale2", `guidance is off with guidanceScale ${guidanceScale}`)]
          : []),
        ...(rows !== undefined && given.maxSequenceLength !== undefined && given.maxSequenceLength !== rows
          ? [withoutEffect("maxSequenceLength", `this checkpoint takes ${rows} tokens`)]
          : []),
      ],
    };
  }

  protected override async conditions(plan: WanPlan, run: Run): Promise<Conditions<Condition>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    const image = await imageCondition(plan.settings, {
      ...{ device: this.device, vae: () => this.parts.vae.get(run), shape: plan.shape, run },
      replacesFirstFrame: this.#abilities.image === "first-frame",
    });
    const { imageEmbeds: given } = plan.settings;
    const shared = { ...image, imageEmbeds: given && this.upload(run, given) };
    const condition = (text: HostTensor) => ({ ...shared, text: this.upload(run, text) });
    return {
      ...{ positive: condition(positive.embeds), notes },
      negative: negative && condition(negative.embeds),
    };
  }

  protected override stageAt(timestep: number, { scheduler }: WanPlan): Stage<WanTransformer3DModel> {
    const { stages } = this.parts;
    return (this.#isSecondAt(timestep, scheduler.numTrainTimesteps) && stages[1]) || stages[0];
  }

  protected override async forward(
    model: WanTransformer3DModel,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    condition: Condition,
  ): Promise<Tensor> {
    const input = modelInput(data, shape, condition);
    using latents = this.device.upload(input.data, [1, input.channels, ...shape.slice(2)]);
    const [, ph, pw] = model.config.patch_size;
    const perFrame = (shape[3]! / ph) * (shape[4]! / pw);
    return await model.forward({
      ...{ ...control, latents, step, encoderHiddenStates: condition.text },
      timestep: condition.firstFrame ? tokenTimesteps(timestep, perFrame, shape[2]!) : timestep,
      ...(condition.imageEmbeds ? { encoderHiddenStatesImage: condition.imageEmbeds } : {}),
    });
  }

  protected override finalLatents(latents: HostTensor, { positive }: Conditions<Condition>): HostTensor {
    const { data, shape } = latents;
    return positive.firstFrame ? { data: withFirstFrame(data, positive.firstFrame, shape), shape } : latents;
  }

  protected override rawLatents(vae: AutoencoderKLWan, { data, shape }: HostTensor): Tensor {
    using normalized = this.device.upload(data, shape);
    return vae.denormalize(normalized);
  }

  get #abilities(): WanAbilities {
    const { className, stages, index, vaeConfig } = this.parts;
    const { in_channels: channels, image_dim: imageDim } = stages[0].model.config;
    const needsImage = className === "WanImageToVideoPipeline" || channels > vaeConfig.z_dim;
    const expands = index.expand_timesteps === true;
    const image = expands ? "first-frame" : needsImage ? "channels" : undefined;
    return { className, stages: stages.length, image, needsImage, hasImageEmbeds: imageDim !== null };
  }

  #latentShape(numFrames: number, height: number, width: number) {
    const { spatialFactor, temporalFactor } = this.geometry;
    const { patch_size: patchSize } = this.transformers[0].config;
    const grid = { spatialFactor, temporalFactor, patchSize, latentChannels: this.parts.vaeConfig.z_dim };
    return latentShape(grid, numFrames, height, width);
  }

  /** The high-noise transformer works down to the boundary, the other below. */
  #isSecondAt(timestep: number, trainTimesteps: number): boolean {
    const { boundary_ratio: ratio } = this.parts.index;
    return this.parts.stages.length > 1 && typeof ratio === "number" && timestep < ratio * trainTimesteps;
  }
}
