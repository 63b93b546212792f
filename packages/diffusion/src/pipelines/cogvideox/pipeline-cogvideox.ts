/**
 * CogVideoXPipeline: text to video with CogVideoX 2B, 5B and 1.5. Source: diffusers
 * `pipelines/cogvideo/pipeline_cogvideox.py`. Latents are `[1, T, C, h, w]`: frames before channels.
 */
import type { FolderReader, Tensor } from "@lvsa/runtime";
import { readJson, readModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import { autoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox-definition.js";
import type { VideoGrid, VideoSize } from "../../models/definition/video-grid.js";
import { t5Encoder, umt5Encoder } from "../../models/text-encoders/t5-encoder-definition.js";
import { cogVideoXRotaryAxes } from "../../models/transformers/cogvideox-positions.js";
import { CogVideoXTransformer3DModel } from "../../models/transformers/transformer-cogvideox.js";
import { cogVideoXTransformer } from "../../models/transformers/transformer-cogvideox-definition.js";
import { COGVIDEOX_SCHEDULERS, dynamicGuidanceScale } from "../../schedulers/index.js";
import type { StepInput } from "../denoise.js";
import {
  type ClipPlan,
  type Conditions,
  DiffusionPipeline,
  type LatentPlan,
  type Run,
  type Settings,
} from "../diffusion-pipeline.js";
import { FamilyOptions } from "../generate-options.js";
import { scaledGuidance } from "../guidance.js";
import { withoutEffect } from "../notes.js";
import { autoencoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import { checkEmbeds, encodePrompts, type PromptEncoder } from "../prompt-embeds.js";
import { runScheduler } from "../run-scheduler.js";
import type { GenerateOptions, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { rawLatents } from "./cogvideox-latents.js";
import { openCogVideoXPrompts } from "./cogvideox-prompts.js";

/** Of the classes that its checkpoints hold. */
const DEFINITIONS = [cogVideoXTransformer, autoencoderKLCogVideoX, t5Encoder, umt5Encoder];

const cogVideoXOptions = new FamilyOptions("CogVideoX", [
  ...(["useDynamicGuidance", "promptEmbeds", "negativePromptEmbeds"] as const),
]);

interface CogVideoXParts extends PipelineParts<CogVideoXTransformer3DModel, AutoencoderKLCogVideoX> {
  readonly prompts: PromptEncoder;
}

export class CogVideoXPipeline extends DiffusionPipeline<CogVideoXParts, ClipPlan, Tensor> {
  readonly family = "cogvideox";
  protected override readonly options = cogVideoXOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<CogVideoXPipeline> {
    const { device } = options;
    const index = await readModelIndex(folder);
    const parts = await openParts(folder, index, options, DEFINITIONS);
    const config = await readJson(folder, "transformer/config.json");
    const model = CogVideoXTransformer3DModel.create(device, config, { attention: parts.attention });
    const vaeFile = "vae/config.json";
    const vaeConfig = autoencoderKLCogVideoX.configToRun(await readJson(folder, vaeFile), vaeFile);
    const vae = autoencoder(folder, device, AutoencoderKLCogVideoX, vaeConfig);
    const stages: CogVideoXParts["stages"] = [stageOf(parts, "transformer", model, options)];
    const prompts = await openCogVideoXPrompts(device, folder);
    const configs = { transformer: model.config, vae: vaeConfig };
    return new CogVideoXPipeline({
      ...parts,
      stages,
      vae,
      definition: cogVideoXTransformer,
      configs,
      prompts,
    });
  }

  /** @throws UsageError also where the model has no positions for the size */
  protected override grid(size: VideoSize): VideoGrid {
    const grid = super.grid(size);
    const { config } = this.transformers[0];
    if (config.use_rotary_positional_embeddings) {
      const { tokenFrames: latentFrames, patchRows: height, patchColumns: width, patchesPerFrame } = grid;
      cogVideoXRotaryAxes(config, { latentFrames, height, width, patchesPerFrame }, undefined);
    }
    return grid;
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { guidanceScale, numFrames, useDynamicGuidance = false } = settings;
    const { shape, frameCount } = this.latentPlan(settings);
    for (const name of ["promptEmbeds", "negativePromptEmbeds"] as const) {
      checkEmbeds(name, given[name], this.transformers[0].config.text_embed_dim);
    }
    const source = { classes: COGVIDEOX_SCHEDULERS, config: this.parts.schedulerConfig };
    const { scheduler, steps, used, notes } = runScheduler(source, given, settings);
    const isOn = guidanceScale > 1;
    const guidance = scaledGuidance(isOn, ({ timestep }) =>
      useDynamicGuidance ? dynamicGuidanceScale(guidanceScale, steps, timestep) : guidanceScale,
    );
    return {
      ...{ settings, shape, scheduler, guidance, frameCount },
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

  protected override latentPlan(settings: Settings) {
    const { latentShape: shape, latentFrames } = this.grid(settings);
    return { settings, shape, frameCount: this.#decodedFrames(latentFrames) };
  }

  protected override async conditions(plan: ClipPlan, run: Run): Promise<Conditions<Tensor>> {
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
    { settings }: LatentPlan,
  ): Tensor {
    // 1.5 joins latent frames in pairs; what was put in front for that is padding.
    const { latentFrames, latentFramesPadded } = this.grid(settings);
    return rawLatents(this.device, vae, latents, latentFramesPadded - latentFrames);
  }

  /** An even number of latent frames has no frame that stands alone. */
  #decodedFrames(latentFrames: number): number {
    const factor = this.modelGeometry.vaeTemporal;
    return latentFrames % 2 === 1 ? (latentFrames - 1) * factor + 1 : latentFrames * factor;
  }
}
