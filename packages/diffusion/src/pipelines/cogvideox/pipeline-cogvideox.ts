/**
 * CogVideoXPipeline: text to video with CogVideoX 2B, 5B and 1.5, image to video with 5B and 1.5. Sources: diffusers
 * `pipelines/cogvideo/pipeline_cogvideox.py` and `pipeline_cogvideox_image2video.py`. Latents are `[1, T, C, h, w]`:
 * frames before channels.
 */
import type { FolderReader, Tensor } from "@lvsa/runtime";
import { readJson, readModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import { autoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox-definition.js";
import type { LatentFrames } from "../../models/autoencoders/latent-frames.js";
import { t5Encoder, umt5Encoder } from "../../models/text-encoders/t5-encoder-definition.js";
import { CogVideoXTransformer3DModel } from "../../models/transformers/transformer-cogvideox.js";
import { cogVideoXTransformer } from "../../models/transformers/transformer-cogvideox-definition.js";
import { COGVIDEOX_SCHEDULERS, dynamicGuidanceScale } from "../../schedulers/index.js";
import type { ClipPlan, LatentPlan, Settings } from "../clip-plan.js";
import type { Component } from "../component.js";
import type { Conditions } from "../conditions.js";
import type { StepInput } from "../denoise.js";
import { DiffusionPipeline } from "../diffusion-pipeline.js";
import { scaledGuidance } from "../guidance.js";
import { imageSettings, stretchNotes, withEncoder } from "../image-conditions.js";
import { autoencoder, isEncoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import { encodePrompts, type PromptEncoder } from "../prompt-embeds.js";
import { runScheduler } from "../run-scheduler.js";
import type { Run } from "../runs.js";
import type { GenerateOptions, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { imageLatents, withImageChannels } from "./cogvideox-image.js";
import { rawLatents } from "./cogvideox-latents.js";
import { checkCogVideoXOptions, cogVideoXNotes, cogVideoXOptions } from "./cogvideox-options.js";
import { openCogVideoXPrompts } from "./cogvideox-prompts.js";

/** Of the classes that its checkpoints hold. */
const DEFINITIONS = [cogVideoXTransformer, autoencoderKLCogVideoX, t5Encoder, umt5Encoder];

/** What one prediction is conditioned on. */
interface Condition {
  readonly text: Tensor;
  readonly image: HostTensor | undefined;
}

interface CogVideoXParts extends PipelineParts<CogVideoXTransformer3DModel, AutoencoderKLCogVideoX> {
  readonly prompts: PromptEncoder;
  /** The half of the autoencoder that images go through. */
  readonly encoder: Component<AutoencoderKLCogVideoX>;
  /** Makes videos from images, and from nothing else. */
  readonly takesImage: boolean;
}

export class CogVideoXPipeline extends DiffusionPipeline<CogVideoXParts, ClipPlan, Condition> {
  readonly family = "cogvideox";
  protected override readonly options = cogVideoXOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<CogVideoXPipeline> {
    const index = await readModelIndex(folder);
    const parts = await openParts(folder, index, options, DEFINITIONS);
    const { device } = parts;
    const config = await readJson(folder, "transformer/config.json");
    const model = new CogVideoXTransformer3DModel(device, config, { attention: parts.attention });
    const vaeFile = "vae/config.json";
    const vaeConfig = autoencoderKLCogVideoX.configToRun(await readJson(folder, vaeFile), vaeFile);
    const vae = autoencoder(parts, AutoencoderKLCogVideoX, vaeConfig);
    const encoder = autoencoder(parts, AutoencoderKLCogVideoX, vaeConfig, isEncoder);
    const takesImage =
      index._class_name === "CogVideoXImageToVideoPipeline" ||
      model.config.in_channels > vaeConfig.latent_channels;
    const stages: CogVideoXParts["stages"] = [stageOf(parts, "transformer", model, options)];
    const prompts = await openCogVideoXPrompts(device, folder);
    const configs = { transformer: model.config, vae: vaeConfig };
    return new CogVideoXPipeline({
      ...{ ...parts, stages, vae, encoder, configs, prompts, takesImage },
      definition: cogVideoXTransformer,
    });
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { guidanceScale, numFrames, useDynamicGuidance = false } = settings;
    const { shape, frameCount } = this.latentPlan(settings);
    const { takesImage } = this.parts;
    const { text_embed_dim: textWidth } = this.transformers[0].config;
    const rows = this.#textRows;
    checkCogVideoXOptions(given, { className: this.className, takesImage, textWidth, rows });
    const source = { classes: COGVIDEOX_SCHEDULERS, config: this.parts.schedulerConfig };
    const { scheduler, steps, used, notes } = runScheduler(source, given, settings);
    const isOn = guidanceScale > 1;
    const guidance = scaledGuidance(isOn, ({ timestep }) =>
      useDynamicGuidance ? dynamicGuidanceScale(guidanceScale, steps, timestep) : guidanceScale,
    );
    return {
      ...{ shape, scheduler, guidance, frameCount },
      settings: { ...settings, maxSequenceLength: rows ?? settings.maxSequenceLength },
      // The picture's latents are a sample, the seed's first numbers.
      ...(takesImage ? { conditionNoise: [1, shape[2], 1, shape[3], shape[4]] } : {}),
      used: { ...used, use_dynamic_cfg: isOn && useDynamicGuidance, ...imageSettings(given.image) },
      notes: [
        ...notes,
        ...stretchNotes([given.image], settings),
        ...cogVideoXNotes(given, isOn, guidanceScale, rows),
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

  protected override async conditions(
    plan: ClipPlan,
    run: Run,
    noise: HostTensor | undefined,
  ): Promise<Conditions<Condition>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    const { image: picture } = plan.settings;
    const image =
      picture && noise
        ? await withEncoder(this.device, this.parts.encoder, run, (vae) =>
            imageLatents(this.device, vae, picture, plan.settings, { shape: plan.shape, noise }, run),
          )
        : undefined;
    const condition = (text: HostTensor): Condition => ({ image, text: this.upload(run, text) });
    return { positive: condition(positive.embeds), negative: negative && condition(negative.embeds), notes };
  }

  protected override async forward(
    model: CogVideoXTransformer3DModel,
    { latents: noisy, timestep, step, control }: StepInput,
    { text, image }: Condition,
    _plan: ClipPlan,
    second: Condition | undefined,
  ): Promise<Tensor> {
    const { data, shape } = withImageChannels(noisy, image);
    using latents = this.device.upload(data, shape);
    return await model.forward({
      ...{ ...control, latents, timestep, encoderHiddenStates: text, step },
      second: second && { encoderHiddenStates: second.text },
      conditionFrames: image ? [0] : [],
    });
  }

  protected override rawLatents(
    vae: AutoencoderKLCogVideoX,
    latents: HostTensor,
    { settings }: LatentPlan,
  ): LatentFrames {
    // 1.5 joins latent frames in pairs; what was put in front for that is padding.
    const { latentFrames, latentFramesPadded } = this.grid(settings);
    return rawLatents(this.device, vae, latents, latentFramesPadded - latentFrames);
  }

  /** Rows of text where the model takes no other number: those with learned positions. */
  get #textRows(): number | undefined {
    const { config } = this.transformers[0];
    return config.use_learned_positional_embeddings ? config.max_text_seq_length : undefined;
  }

  /** An even number of latent frames has no frame that stands alone. */
  #decodedFrames(latentFrames: number): number {
    const factor = this.modelGeometry.vaeTemporal;
    return latentFrames % 2 === 1 ? (latentFrames - 1) * factor + 1 : latentFrames * factor;
  }
}
