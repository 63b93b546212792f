/**
 * CogVideoXPipeline: text to video with CogVideoX 2B, 5B and 1.5. Source: diffusers
 * `pipelines/cogvideo/pipeline_cogvideox.py`. Latents are `[1, T, C, h, w]`: frames before channels.
 */
import type { FolderReader, Tensor } from "@lvsa/runtime";
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
import { COGVIDEOX_SCHEDULERS, dynamicGuidanceScale } from "../../schedulers/index.js";
import { readJson, readModelIndex } from "../checkpoint-folder.js";
import { type LatentGrid, latentShape } from "../clip-sizes.js";
import type { StepInput } from "../denoise.js";
import {
  type ClipPlan,
  type ClipSize,
  type Conditions,
  DiffusionPipeline,
  type Run,
  type Settings,
} from "../diffusion-pipeline.js";
import { FamilyOptions } from "../generate-options.js";
import { scaledGuidance } from "../guidance.js";
import { withoutEffect } from "../notes.js";
import { autoencoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import { checkEmbeds, encodePrompts, type PromptEncoder } from "../prompt-embeds.js";
import { schedulerFor } from "../shifted-scheduler.js";
import type { GenerateOptions, GenerationDefaults, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { rawLatents } from "./cogvideox-latents.js";
import { openCogVideoXPrompts } from "./cogvideox-prompts.js";

const cogVideoXOptions = new FamilyOptions("CogVideoX", [
  ...(["useDynamicGuidance", "promptEmbeds", "negativePromptEmbeds"] as const),
]);

interface CogVideoXParts extends PipelineParts<CogVideoXTransformer3DModel, AutoencoderKLCogVideoX> {
  readonly vaeConfig: AutoencoderKLCogVideoXConfig;
  readonly prompts: PromptEncoder;
}

interface CogVideoXPlan extends ClipPlan {
  /** Latent frames in front that are padding: 1.5 joins them in pairs. */
  readonly padding: number;
}

export class CogVideoXPipeline extends DiffusionPipeline<CogVideoXParts, CogVideoXPlan, Tensor> {
  readonly family = "cogvideox";
  protected override readonly options = cogVideoXOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<CogVideoXPipeline> {
    const { device } = options;
    const { _class_name: className } = await readModelIndex(folder);
    const parts = await openParts(folder, options);
    const config = await readJson(folder, "transformer/config.json");
    const model = CogVideoXTransformer3DModel.create(device, config, { attention: parts.attention });
    const json = await readJson(folder, "vae/config.json");
    const vaeConfig = parseConfig(autoencoderKLCogVideoXConfig, json, "AutoencoderKLCogVideoX");
    const vae = autoencoder(folder, device, AutoencoderKLCogVideoX, vaeConfig);
    const stages: CogVideoXParts["stages"] = [stageOf(folder, "transformer", model, options)];
    const prompts = await openCogVideoXPrompts(device, folder);
    return new CogVideoXPipeline({ ...parts, className, stages, vae, vaeConfig, prompts });
  }

  get defaults(): GenerationDefaults {
    const { config } = this.transformers[0];
    return {
      ...cogVideoXRules.defaults({ transformer: config, vae: this.parts.vaeConfig }),
      ...{ negativePrompt: "", maxSequenceLength: config.max_text_seq_length },
    };
  }

  protected override get grid(): LatentGrid {
    const { patch_size: p, patch_size_t, in_channels: latentChannels } = this.transformers[0].config;
    const { vaeConfig } = this.parts;
    return {
      spatialFactor: cogVideoXSpatialFactor(vaeConfig),
      temporalFactor: vaeConfig.temporal_compression_ratio,
      ...{ patchSize: [patch_size_t ?? 1, p, p], latentChannels },
    };
  }

  override clip(numFrames: number, height: number, width: number): ClipSize {
    const { latentFrames, patchesPerFrame } = this.#size(numFrames, height, width).tokens;
    return { latentFrames, patchesPerFrame };
  }

  protected override plan(settings: Settings, given: GenerateOptions): CogVideoXPlan {
    const { guidanceScale, numInferenceSteps, numFrames, useDynamicGuidance = false } = settings;
    const { shape, padding } = this.#size(numFrames, settings.height, settings.width);
    for (const name of ["promptEmbeds", "negativePromptEmbeds"] as const) {
      checkEmbeds(name, given[name], this.transformers[0].config.text_embed_dim);
    }
    const { scheduler, used, notes } = schedulerFor(
      COGVIDEOX_SCHEDULERS,
      this.parts.schedulerConfig,
      settings.flowShift,
    );
    scheduler.setTimesteps(numInferenceSteps);
    const steps = scheduler.timesteps.length;
    const isOn = guidanceScale > 1;
    const guidance = scaledGuidance(isOn, (timestep) =>
      useDynamicGuidance ? dynamicGuidanceScale(guidanceScale, steps, timestep) : guidanceScale,
    );
    const frameCount = this.#decodedFrames(shape[1]! - padding);
    return {
      ...{ settings, shape, padding, scheduler, guidance, frameCount },
      used: { ...used, use_dynamic_cfg: isOn && useDynamicGuidance },
      notes: [
        ...notes,
        ...(useDynamicGuidance && !isOn
          ? [withoutEffect("useDynamicGuidance", `guidance is off with guidanceScale ${guidanceScale}`)]
          : []),
        ...(frameCount === numFrames
          ? []
          : [`The autoencoder makes ${frameCount} frames where ${numFrames} were asked for.`]),
      ],
    };
  }

  protected override async conditions(plan: CogVideoXPlan, run: Run): Promise<Conditions<Tensor>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    return {
      positive: this.upload(run, positive.embeds),
      negative: negative && this.upload(run, negative.embeds),
      notes,
    };
  }

  protected override async forward(
    model: CogVideoXTransformer3DModel,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    text: Tensor,
  ): Promise<Tensor> {
    using latents = this.device.upload(data, shape);
    return await model.forward({ ...control, latents, timestep, encoderHiddenStates: text, step });
  }

  protected override rawLatents(
    vae: AutoencoderKLCogVideoX,
    latents: HostTensor,
    { padding }: CogVideoXPlan,
  ): Tensor {
    return rawLatents(this.device, vae, latents, padding);
  }

  /**
   * Latents `[1, T, C, h, w]` of a clip, how many of the T are padding in front (1.5 joins latent frames in pairs), and
   * the token grid. @throws UsageError when the sizes do not fit the model
   */
  #size(numFrames: number, height: number, width: number) {
    const { config } = this.transformers[0];
    const [pt, p] = this.grid.patchSize;
    const [, channels, T, h, w] = latentShape(this.grid, numFrames, height, width);
    const padding = (pt - (T % pt)) % pt;
    const frame = { height: h / p, width: w / p };
    const patchesPerFrame = frame.height * frame.width;
    const tokens = { latentFrames: (T + padding) / pt, patchesPerFrame, ...frame };
    // Throws where the model has no positions for the size.
    if (config.use_rotary_positional_embeddings) cogVideoXRotaryAxes(config, tokens, undefined);
    return { shape: [1, T + padding, channels, h, w], padding, tokens };
  }

  /** An even number of latent frames has no frame that stands alone. */
  #decodedFrames(latentFrames: number): number {
    const factor = this.parts.vaeConfig.temporal_compression_ratio;
    return latentFrames % 2 === 1 ? (latentFrames - 1) * factor + 1 : latentFrames * factor;
  }
}
