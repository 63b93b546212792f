/**
 * Cosmos3OmniPipeline, text and image to video. Source: diffusers `pipelines/cosmos/pipeline_cosmos3_omni.py`.
 *
 * There is no text encoder: the transformer's own understanding stream reads the rendered chat. It does not depend on
 * the denoising step, so it runs once per generation, with one layer of its weights on the GPU at a time.
 */
import { type FolderReader, subFolder, type Tensor } from "@lvsa/runtime";
import { loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import * as z from "zod";
import { readJson, readModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import { autoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan-definition.js";
import { parseConfig } from "../../models/model-config.js";
import type { Cosmos3Understanding } from "../../models/transformers/cosmos3-understanding.js";
import { Cosmos3OmniTransformer } from "../../models/transformers/transformer-cosmos3.js";
import { cosmos3Transformer } from "../../models/transformers/transformer-cosmos3-definition.js";
import { encodeCosmos3Prompt } from "../../prompts/prompts-cosmos3.js";
import { cosmos3NativeSigmas, FLOW_SCHEDULERS, type Scheduler } from "../../schedulers/index.js";
import { badOption } from "../bad-option.js";
import type { ClipPlan, Settings } from "../clip-plan.js";
import type { Component } from "../component.js";
import type { Conditions } from "../conditions.js";
import type { StepInput } from "../denoise.js";
import { DiffusionPipeline } from "../diffusion-pipeline.js";
import { FamilyOptions } from "../generate-options.js";
import { scaledGuidance } from "../guidance.js";
import { imageSettings, withFirstFrame } from "../image-conditions.js";
import { withoutEffect } from "../notes.js";
import { autoencoder, isEncoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import { runScheduler } from "../run-scheduler.js";
import type { Run } from "../runs.js";
import type { GenerateOptions, HostTensor, PipelineOptions } from "../video-pipeline.js";
import { withWeights } from "../with-weights.js";
import { firstFrameLatents } from "./cosmos3-image.js";

/** Of the classes that its checkpoints hold. */
const DEFINITIONS = [cosmos3Transformer, autoencoderKLWan];

/** No embeddings: the transformer reads token ids. */
const cosmos3Options = new FamilyOptions("Cosmos 3", ["sigmas", "image"]);

/** What `model_index.json` says besides its components. */
const settingsSchema = z.looseObject({
  _class_name: z.string(),
  default_use_system_prompt: z.boolean().default(true),
  use_native_flow_schedule: z.boolean().default(false),
});

interface Cosmos3Parts extends PipelineParts<Cosmos3OmniTransformer, AutoencoderKLWan> {
  readonly index: z.infer<typeof settingsSchema>;
  readonly tokenizer: Tokenizer;
  /** The half of the autoencoder that images go through. */
  readonly encoder: Component<AutoencoderKLWan>;
}

/** What one prediction is conditioned on. */
interface Condition {
  readonly understanding: Cosmos3Understanding;
  /** Latent frames whose content is given: the first, where there is an image. */
  readonly conditionFrames: readonly number[];
  /** Of the image; undefined without one, and where the caller gave all latents. */
  readonly firstFrame: HostTensor | undefined;
}

export class Cosmos3OmniPipeline extends DiffusionPipeline<Cosmos3Parts, ClipPlan, Condition> {
  readonly family = "cosmos3";
  protected override readonly options = cosmos3Options;
  /** Reading a prompt takes a pass over the transformer's weights. */
  protected override readonly residentConditions = Number.POSITIVE_INFINITY;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<Cosmos3OmniPipeline> {
    const index = parseConfig(
      settingsSchema,
      await readModelIndex(folder),
      "Cosmos3OmniPipeline",
      "model_index.json",
    );
    const parts = await openParts(folder, index, options, DEFINITIONS);
    const { device } = parts;
    const config = await readJson(folder, "transformer/config.json");
    const model = new Cosmos3OmniTransformer(device, config, { attention: parts.attention });
    const vaeFile = "vae/config.json";
    const vaeConfig = autoencoderKLWan.configToRun(await readJson(folder, vaeFile), vaeFile);
    const vae = autoencoder(parts, AutoencoderKLWan, vaeConfig);
    const encoder = autoencoder(parts, AutoencoderKLWan, vaeConfig, isEncoder);
    const tokenizer = await loadTokenizer(subFolder(folder, "text_tokenizer"));
    const stages: Cosmos3Parts["stages"] = [stageOf(parts, "transformer", model, options)];
    const configs = { transformer: model.config, vae: vaeConfig };
    const definition = cosmos3Transformer;
    return new Cosmos3OmniPipeline({
      ...{ ...parts, index, stages, vae, encoder, definition, configs, tokenizer },
    });
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { guidanceScale, numFrames } = settings;
    const shape = this.grid(settings).latentShape;
    if (given.image && numFrames === 1) {
      throw badOption("image is the first frame of a video, and numFrames is 1", "Raise numFrames.");
    }
    const { use_native_flow_schedule: isNative } = this.parts.index;
    const familySigmas = (steps: number, { numTrainTimesteps }: Scheduler) =>
      isNative ? cosmos3NativeSigmas(steps, numTrainTimesteps) : undefined;
    const source = { classes: FLOW_SCHEDULERS, config: this.parts.schedulerConfig, familySigmas };
    const { scheduler, used, notes } = runScheduler(source, given, settings);
    const isTaken = given.image !== undefined && given.initialLatents !== undefined;
    const asGiven =
      "initialLatents were taken as they are: the image says only that their first frame is clean.";
    const neverCuts = withoutEffect("maxSequenceLength", "Cosmos 3 takes prompts of any length");
    return {
      ...{ settings, shape, scheduler, used: { ...used, ...imageSettings(given.image) } },
      guidance: scaledGuidance(guidanceScale !== 1, () => guidanceScale),
      notes: [
        ...notes,
        ...(isTaken ? [asGiven] : []),
        ...(given.maxSequenceLength === undefined ? [] : [neverCuts]),
      ],
    };
  }

  /** Both prompts in one pass of the understanding stream. */
  protected override async conditions(plan: ClipPlan, run: Run): Promise<Conditions<Condition>> {
    const { folder, encoder, loras } = this.parts;
    const { image, initialLatents } = plan.settings;
    const ids = this.promptIds(plan);
    const component = "transformer";
    const understood = await withWeights(folder, component, (source) =>
      this.transformers[0].understand(loras.wrap(component, source), ids, {
        signal: run.signal,
        onProgress: (done, total) => run.onStage?.({ stage: "encode-prompt", component, done, total }),
      }),
    );
    for (const one of understood) run.owned.add(one);
    const firstFrame =
      image && !initialLatents
        ? await firstFrameLatents(this.device, encoder, image, plan.settings, run)
        : undefined;
    const shared = { firstFrame, conditionFrames: image ? [0] : [] };
    const [positive, negative] = understood.map((understanding) => ({ ...shared, understanding }));
    return { positive: positive!, negative };
  }

  /** Token ids of the prompt and, where guidance is on, of the negative one. */
  protected promptIds({ settings, guidance }: ClipPlan): ArrayLike<number>[] {
    const { index, tokenizer } = this.parts;
    const { numFrames, height, width, fps, prompt = "", negativePrompt } = settings;
    const common = { numFrames, height, width, fps, useSystemPrompt: index.default_use_system_prompt };
    const ids = [encodeCosmos3Prompt(tokenizer, prompt, common).ids];
    if (guidance.isOn) {
      ids.push(encodeCosmos3Prompt(tokenizer, negativePrompt, { ...common, negative: true }).ids);
    }
    return ids;
  }

  protected override startLatents(latents: HostTensor, { positive }: Conditions<Condition>): HostTensor {
    const { data, shape } = latents;
    const { firstFrame } = positive;
    return firstFrame ? { data: withFirstFrame(data, firstFrame.data, shape), shape } : latents;
  }

  protected override async forward(
    model: Cosmos3OmniTransformer,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    { understanding, conditionFrames }: Condition,
    { settings: { fps } }: ClipPlan,
    second: Condition | undefined,
  ): Promise<Tensor> {
    using latents = this.device.upload(data, shape);
    return await model.forward({
      ...{ ...control, latents, timestep, understanding, fps, step, conditionFrames, second },
    });
  }
}
