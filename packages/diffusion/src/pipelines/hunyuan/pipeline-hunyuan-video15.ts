/**
 * HunyuanVideo15Pipeline: text to video and image to video. Sources: diffusers
 * `pipelines/hunyuan_video1_5/pipeline_hunyuan_video1_5.py` and `pipeline_hunyuan_video1_5_image2video.py`.
 *
 * diffusers pads text to 1000 and glyphs to 256 tokens, has 729 masked image tokens where there is no image, and masks
 * all of these in every layer; here only real tokens exist.
 */
import { ConfigError, type FolderReader, type Tensor } from "@lvsa/runtime";
import { hasComponent, readJson, readModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { autoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15-definition.js";
import { VisionEncoder } from "../../models/image-encoders/vision-encoder.js";
import { siglipVision } from "../../models/image-encoders/vision-encoder-definitions.js";
import { qwen25VLText } from "../../models/text-encoders/qwen2-5-vl-text-definition.js";
import { t5Encoder, umt5Encoder } from "../../models/text-encoders/t5-encoder-definition.js";
import { HunyuanVideo15Transformer3DModel } from "../../models/transformers/transformer-hunyuan-video15.js";
import { hunyuanVideo15Transformer } from "../../models/transformers/transformer-hunyuan-video15-definition.js";
import { FLOW_SCHEDULERS, hunyuanVideo15Sigmas } from "../../schedulers/index.js";
import type { ClipPlan, Settings } from "../clip-plan.js";
import type { Conditions } from "../conditions.js";
import type { StepInput } from "../denoise.js";
import { DiffusionPipeline } from "../diffusion-pipeline.js";
import { imageSettings } from "../image-conditions.js";
import { ImageEmbedder } from "../image-embedder.js";
import { withoutEffect } from "../notes.js";
import { autoencoder, isEncoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import type { EncodedPrompt } from "../prompt-cache.js";
import { encodePrompts } from "../prompt-embeds.js";
import { runScheduler } from "../run-scheduler.js";
import type { Run } from "../runs.js";
import type { GenerateOptions, GenerationDefaults, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { ClassifierFreeGuidance } from "./classifier-free-guidance.js";
import { encodeImage, type ImageParts, modelInput } from "./hunyuan-image.js";
import { checkHunyuanOptions, hunyuanOptions } from "./hunyuan-options.js";
import { HunyuanVideo15PromptEncoder } from "./hunyuan-prompts.js";

/** Of the classes that its checkpoints hold. */
const DEFINITIONS = [
  hunyuanVideo15Transformer,
  autoencoderKLHunyuanVideo15,
  qwen25VLText,
  t5Encoder,
  umt5Encoder,
  siglipVision,
];

interface HunyuanParts extends PipelineParts<HunyuanVideo15Transformer3DModel, AutoencoderKLHunyuanVideo15> {
  readonly prompts: HunyuanVideo15PromptEncoder;
  readonly guider: ClassifierFreeGuidance;
  /** Of image to video; undefined in a checkpoint for text to video. */
  readonly imageParts: ImageParts | undefined;
}

/** What one prediction is conditioned on. */
interface Condition {
  readonly text: Tensor;
  readonly glyph: Tensor | undefined;
  /** Rows of the image encoder. */
  readonly imageEmbeds: Tensor | undefined;
  /** Of the first frame. */
  readonly imageLatents: HostTensor | undefined;
}

export class HunyuanVideo15Pipeline extends DiffusionPipeline<HunyuanParts, ClipPlan, Condition> {
  readonly family = "hunyuan";
  protected override readonly options = hunyuanOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(
    folder: FolderReader,
    options: PipelineOptions,
  ): Promise<HunyuanVideo15Pipeline> {
    const index = await readModelIndex(folder);
    const parts = await openParts(folder, index, options, DEFINITIONS);
    const { device } = parts;
    const config = await readJson(folder, "transformer/config.json");
    const model = new HunyuanVideo15Transformer3DModel(device, config, { attention: parts.attention });
    const takesImage = index._class_name === "HunyuanVideo15ImageToVideoPipeline";
    // Text to video never looks at images.
    const isNeeded = (name: string) => takesImage || !name.startsWith("image_embedder.");
    const vaeFile = "vae/config.json";
    const vaeConfig = autoencoderKLHunyuanVideo15.configToRun(await readJson(folder, vaeFile), vaeFile);
    const vae = autoencoder(parts, AutoencoderKLHunyuanVideo15, vaeConfig);
    const configs = { transformer: model.config, vae: vaeConfig };
    const definition = hunyuanVideo15Transformer;
    const guider = ClassifierFreeGuidance.fromConfig(
      hasComponent(index, "guider")
        ? await readJson(folder, "guider/guider_config.json")
        : { guidance_scale: definition.video.defaults(configs).guidanceScale },
    );
    const prompts = await HunyuanVideo15PromptEncoder.open(device, folder);
    const stages: HunyuanParts["stages"] = [stageOf(parts, "transformer", model, options, isNeeded)];
    const images = takesImage
      ? await ImageEmbedder.open(device, folder, index, "feature_extractor", VisionEncoder.siglip)
      : undefined;
    if (takesImage && !images) {
      throw new ConfigError("MISSING_COMPONENT", `${index._class_name} needs an image_encoder`, {
        where: "model_index.json",
        fix: "Download the whole checkpoint.",
      });
    }
    const encoder = autoencoder(parts, AutoencoderKLHunyuanVideo15, vaeConfig, isEncoder);
    const imageParts = images && { images, encoder };
    return new HunyuanVideo15Pipeline({
      ...{ ...parts, stages, vae, definition, configs, prompts, guider, imageParts },
    });
  }

  /** Those of the model, with the scale that the checkpoint's guider states. */
  override get defaults(): GenerationDefaults {
    return { ...super.defaults, guidanceScale: this.parts.guider.config.guidance_scale };
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { guidanceScale } = settings;
    const shape = this.grid(settings).latentShape;
    const { imageParts } = this.parts;
    checkHunyuanOptions(given, this.className, imageParts !== undefined, this.transformers[0].config);
    const source = {
      classes: FLOW_SCHEDULERS,
      config: this.parts.schedulerConfig,
      familySigmas: hunyuanVideo15Sigmas,
    };
    const { scheduler, used, notes } = runScheduler(source, given, settings);
    const guider = this.parts.guider.withScale(guidanceScale);
    const isSwitchedOff = !guider.config.enabled && given.guidanceScale !== undefined;
    const why = "guider_config.json of this checkpoint switches guidance off";
    return {
      ...{ settings, shape, scheduler },
      guidance: {
        isOn: guider.isEnabled(),
        isOnAt: (index, steps) => guider.isEnabled(index, steps),
        combine: (positive, negative) => guider.combine(positive, negative),
      },
      used: {
        ...{ guidance_scale: guider.config.enabled ? guidanceScale : null, ...used },
        ...imageSettings(given.image),
      },
      notes: [...notes, ...(isSwitchedOff ? [withoutEffect("guidanceScale", why)] : [])],
    };
  }

  protected override async conditions(plan: ClipPlan, run: Run): Promise<Conditions<Condition>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    const { image: picture } = plan.settings;
    const { imageParts } = this.parts;
    const image =
      picture && imageParts && (await encodeImage(this.device, imageParts, picture, plan.settings, run));
    const shared = {
      imageEmbeds: image && this.upload(run, image.embeds),
      imageLatents: image?.latents,
    };
    const condition = ({ embeds, embeds2 }: EncodedPrompt): Condition => ({
      ...shared,
      text: this.upload(run, embeds),
      glyph: embeds2 && this.upload(run, embeds2),
    });
    return { positive: condition(positive), negative: negative && condition(negative), notes };
  }

  protected override async forward(
    model: HunyuanVideo15Transformer3DModel,
    { latents: noisy, timestep, step, control }: StepInput,
    { text, glyph, imageEmbeds, imageLatents }: Condition,
    { scheduler }: ClipPlan,
    second: Condition | undefined,
  ): Promise<Tensor> {
    const { data, shape } = modelInput(noisy, imageLatents, model.config.in_channels);
    using latents = this.device.upload(data, shape);
    return await model.forward({
      ...{ ...control, latents, timestep, step, imageEmbeds },
      // The next step's; the last one ends at 0.
      timestepR: model.config.use_meanflow ? (scheduler.timesteps[step.index + 1] ?? 0) : undefined,
      encoderHiddenStates: text,
      encoderHiddenStates2: glyph,
      second: second && { encoderHiddenStates: second.text, encoderHiddenStates2: second.glyph },
      conditionFrames: imageLatents ? [0] : [],
    });
  }
}
