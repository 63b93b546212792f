/**
 * WanPipeline: Wan 2.1 and 2.2, text to video and image to video.
 * Sources: diffusers `pipelines/wan/pipeline_wan.py` and `pipeline_wan_i2v.py`.
 */
import type { FolderReader, Tensor } from "@lvsa/runtime";
import type { VideoGrid } from "../../models/definition/video-grid.js";
import type { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { FLOW_SCHEDULERS } from "../../schedulers/index.js";
import type { ClipPlan, Settings } from "../clip-plan.js";
import type { Conditions } from "../conditions.js";
import type { StepInput } from "../denoise.js";
import { DiffusionPipeline } from "../diffusion-pipeline.js";
import { scaledGuidance } from "../guidance.js";
import { imageSettings, stretchNotes, withFirstFrame } from "../image-conditions.js";
import type { Stage } from "../pipeline-parts.js";
import { encodePrompts } from "../prompt-embeds.js";
import { runScheduler } from "../run-scheduler.js";
import type { CachedModelOf } from "../run-step-cache.js";
import type { Run } from "../runs.js";
import type { GenerateOptions, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { openWanParts, type WanParts } from "./open-wan-parts.js";
import { type ImageCondition, modelInput, tokenTimesteps } from "./wan-model-input.js";
import {
  checkWanEmbeds,
  checkWanOptions,
  wanCachedModel,
  wanNotes,
  wanOptions,
  withWanPreset,
} from "./wan-options.js";
import { secondStageFrom } from "./wan-stages.js";

/** Text rows that a transformer with image tokens expects. */
const ROWS_WITH_IMAGE = 512;

/** What one prediction is conditioned on. */
interface Condition extends ImageCondition {
  readonly text: Tensor;
  readonly imageEmbeds: Tensor | undefined;
}

const NO_IMAGE: ImageCondition = { channels: undefined, firstFrame: undefined, conditionFrames: [] };

interface WanPlan extends ClipPlan {
  readonly shape: VideoGrid["latentShape"];
  readonly secondFrom: number;
}

export class WanPipeline extends DiffusionPipeline<WanParts, WanPlan, Condition> {
  readonly family = "wan";
  protected override readonly options = wanOptions;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<WanPipeline> {
    return new WanPipeline(await openWanParts(folder, options));
  }

  protected override plan(settings: Settings, given: GenerateOptions): WanPlan {
    const { guidanceScale } = settings;
    const shape = this.grid(settings).latentShape;
    checkWanOptions(given, settings, this.parts.abilities);
    const rows = this.parts.abilities.embeddedImages > 0 ? ROWS_WITH_IMAGE : undefined;
    checkWanEmbeds(given, this.transformers[0].config, this.parts.abilities, rows);
    const source = { classes: FLOW_SCHEDULERS, config: this.parts.schedulerConfig };
    const { scheduler, used, notes } = runScheduler(source, given, settings);
    const second = settings.guidanceScale2 ?? guidanceScale;
    const isOn = guidanceScale > 1;
    const { boundary, stages } = this.parts;
    const secondFrom = secondStageFrom(
      stages.length < 2 ? undefined : boundary,
      scheduler,
      given.boundaryStepIndex,
    );
    const scaleAt = ({ index }: { index: number }) => (index >= secondFrom ? second : guidanceScale);
    const usesSecond = isOn && stages.length > 1;
    return {
      ...{ shape, scheduler, secondFrom, guidance: scaledGuidance(isOn, scaleAt) },
      settings: { ...settings, maxSequenceLength: rows ?? settings.maxSequenceLength },
      used: {
        guidance_scale_2: usesSecond ? second : null,
        boundary_step_index: Number.isFinite(secondFrom) ? secondFrom : null,
        ...used,
        ...imageSettings(given.image),
        ...imageSettings(given.lastImage, "last_"),
      },
      notes: [
        ...notes,
        ...wanNotes(given, isOn, guidanceScale, rows),
        ...stretchNotes([given.image, given.lastImage], settings),
      ],
    };
  }

  protected override async conditions(plan: WanPlan, run: Run): Promise<Conditions<Condition>> {
    const { positive, negative, notes } = await encodePrompts(this.parts.prompts, plan, run);
    const { embeds, image } = await this.#imageInput(plan, run);
    const shared = { ...image, imageEmbeds: embeds && this.upload(run, embeds) };
    const condition = (text: HostTensor) => ({ ...shared, text: this.upload(run, text) });
    return {
      ...{ positive: condition(positive.embeds), notes },
      negative: negative && condition(negative.embeds),
    };
  }

  /** What reads pictures is loaded for them. */
  async #imageInput(
    { settings, shape }: WanPlan,
    run: Run,
  ): Promise<{ embeds?: HostTensor | undefined; image: ImageCondition }> {
    const { image, imageEmbeds } = settings;
    if (!image) return { embeds: imageEmbeds, image: NO_IMAGE };
    const { imageCondition, wanImageEmbeds } = await import("./wan-image-condition.js");
    const { images, encoder, abilities } = this.parts;
    return {
      embeds: await wanImageEmbeds(images, settings, run),
      image: await imageCondition(image, settings, {
        ...{ device: this.device, encoder, shape, run },
        replacesFirstFrame: abilities.image === "first-frame",
      }),
    };
  }

  protected override stageAt(index: number, { secondFrom }: WanPlan): Stage<WanTransformer3DModel> {
    const { stages } = this.parts;
    return (index >= secondFrom && stages[1]) || stages[0];
  }

  protected override async forward(
    model: WanTransformer3DModel,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    condition: Condition,
    _plan: WanPlan,
    second: Condition | undefined,
  ): Promise<Tensor> {
    const input = modelInput(data, shape, condition);
    using latents = this.device.upload(input.data, [1, input.channels, ...shape.slice(2)]);
    const [, ph, pw] = model.config.patch_size;
    const perFrame = (shape[3]! / ph) * (shape[4]! / pw);
    return await model.forward({
      ...{ ...control, latents, step, encoderHiddenStates: condition.text },
      second: second && { encoderHiddenStates: second.text },
      conditionFrames: condition.conditionFrames,
      timestep: condition.firstFrame ? tokenTimesteps(timestep, perFrame, shape[2]!) : timestep,
      ...(condition.imageEmbeds ? { encoderHiddenStatesImage: condition.imageEmbeds } : {}),
    });
  }

  protected override finalLatents(latents: HostTensor, { positive }: Conditions<Condition>): HostTensor {
    const { data, shape } = latents;
    return positive.firstFrame ? { data: withFirstFrame(data, positive.firstFrame, shape), shape } : latents;
  }

  protected override cachedModel({ settings }: WanPlan): CachedModelOf {
    return wanCachedModel(this.parts.abilities, settings);
  }

  protected override withCheckpointPreset(options: GenerateOptions): GenerateOptions {
    return withWanPreset(options, this.className, this.modelGeometry.latentChannels);
  }
}
