/**
 * HunyuanVideo15Pipeline: text to video. Source: diffusers `pipelines/hunyuan_video1_5/pipeline_hunyuan_video1_5.py`.
 *
 * diffusers pads text to 1000, glyphs to 256 and images (none here) to 729 tokens and masks the padding in every
 * layer; here only real tokens exist.
 */
import type { FolderReader, Tensor } from "@lvsa/runtime";
import { hasComponent, readJson, readModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { autoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15-definition.js";
import { qwen25VLText } from "../../models/text-encoders/qwen2-5-vl-text-definition.js";
import { t5Encoder, umt5Encoder } from "../../models/text-encoders/t5-encoder-definition.js";
import { HunyuanVideo15Transformer3DModel } from "../../models/transformers/transformer-hunyuan-video15.js";
import { hunyuanVideo15Transformer } from "../../models/transformers/transformer-hunyuan-video15-definition.js";
import { FLOW_SCHEDULERS, hunyuanVideo15Sigmas } from "../../schedulers/index.js";
import type { StepInput } from "../denoise.js";
import {
  type ClipPlan,
  type Conditions,
  DiffusionPipeline,
  type Run,
  type Settings,
} from "../diffusion-pipeline.js";
import { FamilyOptions } from "../generate-options.js";
import { withoutEffect } from "../notes.js";
import { autoencoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import type { EncodedPrompt } from "../prompt-cache.js";
import { checkEmbeds, encodePrompts } from "../prompt-embeds.js";
import { runScheduler } from "../run-scheduler.js";
import type { GenerateOptions, GenerationDefaults, PipelineOptions } from "../video-pipeline.js";
import { ClassifierFreeGuidance } from "./classifier-free-guidance.js";
import { HunyuanVideo15PromptEncoder } from "./hunyuan-prompts.js";

/** Of the classes that its checkpoints hold. */
const DEFINITIONS = [
  hunyuanVideo15Transformer,
  autoencoderKLHunyuanVideo15,
  qwen25VLText,
  t5Encoder,
  umt5Encoder,
];

const hunyuanOptions = new FamilyOptions("HunyuanVideo", [
  ...(["promptEmbeds", "negativePromptEmbeds", "promptEmbeds2", "negativePromptEmbeds2"] as const),
  ...(["sigmas", "preset"] as const),
]);

interface HunyuanParts extends PipelineParts<HunyuanVideo15Transformer3DModel, AutoencoderKLHunyuanVideo15> {
  readonly prompts: HunyuanVideo15PromptEncoder;
  readonly guider: ClassifierFreeGuidance;
}

interface Condition {
  readonly text: Tensor;
  readonly glyph: Tensor | undefined;
}

export class HunyuanVideo15Pipeline extends DiffusionPipeline<HunyuanParts, ClipPlan, Condition> {
  readonly family = "hunyuan";
  protected override readonly options = hunyuanOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(
    folder: FolderReader,
    options: PipelineOptions,
  ): Promise<HunyuanVideo15Pipeline> {
    const { device } = options;
    const index = await readModelIndex(folder);
    const parts = await openParts(folder, index, options, DEFINITIONS);
    const config = await readJson(folder, "transformer/config.json");
    const model = HunyuanVideo15Transformer3DModel.create(device, config, { attention: parts.attention });
    // Text to video never looks at images.
    const isNeeded = (name: string) => !name.startsWith("image_embedder.");
    const vaeFile = "vae/config.json";
    const vaeConfig = autoencoderKLHunyuanVideo15.configToRun(await readJson(folder, vaeFile), vaeFile);
    const vae = autoencoder(folder, device, AutoencoderKLHunyuanVideo15, vaeConfig);
    const configs = { transformer: model.config, vae: vaeConfig };
    const definition = hunyuanVideo15Transformer;
    const guider = ClassifierFreeGuidance.fromConfig(
      hasComponent(index, "guider")
        ? await readJson(folder, "guider/guider_config.json")
        : { guidance_scale: definition.video.defaults(configs).guidanceScale },
    );
    const prompts = await HunyuanVideo15PromptEncoder.open(device, folder);
    const stages: HunyuanParts["stages"] = [stageOf(parts, "transformer", model, options, isNeeded)];
    return new HunyuanVideo15Pipeline({ ...parts, stages, vae, definition, configs, prompts, guider });
  }

  /** Those of the model, with the scale that the checkpoint's guider states. */
  override get defaults(): GenerationDefaults {
    return { ...super.defaults, guidanceScale: this.parts.guider.config.guidance_scale };
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { guidanceScale } = settings;
    const shape = this.grid(settings).latentShape;
    const { text_embed_dim: width1, text_embed_2_dim: width2 } = this.transformers[0].config;
    for (const [name, columns] of [
      ...([["promptEmbeds", width1] as const, ["negativePromptEmbeds", width1] as const] as const),
      ...([["promptEmbeds2", width2] as const, ["negativePromptEmbeds2", width2] as const] as const),
    ]) {
      checkEmbeds(name, given[name], columns);
    }
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
      used: { guidance_scale: guider.config.enabled ? guidanceScale : null, ...used },
      notes: [...notes, ...(isSwitchedOff ? [withoutEffect("guidanceScale", why)] : [])],
    };
  }

  protected override async conditions(plan: ClipPlan, run: Run): Promise<Conditions<Condition>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    const condition = ({ embeds, embeds2 }: EncodedPrompt): Condition => ({
      text: this.upload(run, embeds),
      glyph: embeds2 && this.upload(run, embeds2),
    });
    return { positive: condition(positive), negative: negative && condition(negative), notes };
  }

  protected override async forward(
    model: HunyuanVideo15Transformer3DModel,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    { text, glyph }: Condition,
  ): Promise<Tensor> {
    // Noisy latents, and zeros for condition latents and mask: `[1, in_channels, T, h, w]`.
    const channels = model.config.in_channels;
    const input = new Float32Array((data.length / shape[1]!) * channels);
    input.set(data);
    using latents = this.device.upload(input, [1, channels, ...shape.slice(2)]);
    return await model.forward({
      ...control,
      latents,
      timestep,
      encoderHiddenStates: text,
      encoderHiddenStates2: glyph,
      step,
    });
  }
}
