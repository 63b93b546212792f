/**
 * Cosmos3OmniPipeline, text to video. Source: diffusers `pipelines/cosmos/pipeline_cosmos3_omni.py`.
 *
 * There is no text encoder: the transformer's own understanding stream reads the rendered chat. It does not depend on
 * the denoising step, so it runs once per generation, with one layer of its weights on the GPU at a time.
 */
import { type FolderReader, subFolder, type Tensor } from "@lvsa/runtime";
import { loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import * as z from "zod";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import {
  type WanAutoencoderConfig,
  wanAutoencoderConfigSchema,
} from "../../models/autoencoders/autoencoder-kl-wan-config.js";
import { parseConfig } from "../../models/model-config.js";
import type { Cosmos3Understanding } from "../../models/transformers/cosmos3-understanding.js";
import { Cosmos3OmniTransformer } from "../../models/transformers/transformer-cosmos3.js";
import { encodeCosmos3Prompt } from "../../prompts/prompts-cosmos3.js";
import { cosmos3NativeSigmas, FLOW_SCHEDULERS } from "../../schedulers/index.js";
import { readJson, readModelIndex } from "../checkpoint-folder.js";
import { type LatentGrid, latentShape } from "../clip-sizes.js";
import { withWeights } from "../component.js";
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
import { schedulerFor } from "../shifted-scheduler.js";
import type { GenerateOptions, GenerationDefaults, PipelineOptions } from "../video-pipeline.js";

/** The values of diffusers' `Cosmos3OmniPipeline.__call__`. Prompts are never cut. */
const DEFAULTS: GenerationDefaults = {
  ...{ numFrames: 189, height: 720, width: 1280, numInferenceSteps: 35, guidanceScale: 6, fps: 24 },
  ...{ negativePrompt: "", maxSequenceLength: Number.MAX_SAFE_INTEGER },
};

/** No embeddings: the transformer reads token ids. */
const cosmos3Options = new FamilyOptions("Cosmos 3", []);

/** What `model_index.json` says besides its components. */
const settingsSchema = z.looseObject({
  _class_name: z.string(),
  default_use_system_prompt: z.boolean().default(true),
  use_native_flow_schedule: z.boolean().default(false),
});

interface Cosmos3Parts extends PipelineParts<Cosmos3OmniTransformer, AutoencoderKLWan> {
  readonly index: z.infer<typeof settingsSchema>;
  readonly tokenizer: Tokenizer;
  readonly vaeConfig: WanAutoencoderConfig;
}

export class Cosmos3OmniPipeline extends DiffusionPipeline<Cosmos3Parts, ClipPlan, Cosmos3Understanding> {
  readonly family = "cosmos3";
  readonly defaults = DEFAULTS;
  protected override readonly options = cosmos3Options;

  /** Opens a checkpoint; weights are loaded when `generate` first needs them. */
  static async fromPretrained(folder: FolderReader, options: PipelineOptions): Promise<Cosmos3OmniPipeline> {
    const { device } = options;
    const index = parseConfig(settingsSchema, await readModelIndex(folder), "Cosmos3OmniPipeline");
    const parts = await openParts(folder, options);
    const config = await readJson(folder, "transformer/config.json");
    const model = Cosmos3OmniTransformer.create(device, config, { attention: parts.attention });
    const json = await readJson(folder, "vae/config.json");
    const vaeConfig = parseConfig(wanAutoencoderConfigSchema, json, "AutoencoderKLWan");
    const vae = autoencoder(folder, device, AutoencoderKLWan, vaeConfig);
    const tokenizer = await loadTokenizer(subFolder(folder, "text_tokenizer"));
    const stages: Cosmos3Parts["stages"] = [stageOf(folder, "transformer", model, options)];
    const className = index._class_name;
    return new Cosmos3OmniPipeline({ ...parts, className, index, stages, vae, vaeConfig, tokenizer });
  }

  protected override get grid(): LatentGrid {
    const { z_dim, scale_factor_spatial, scale_factor_temporal } = this.parts.vaeConfig;
    return {
      ...{ spatialFactor: scale_factor_spatial, temporalFactor: scale_factor_temporal },
      // Any latent size will do: patches at the edge are padded.
      ...{ patchSize: [1, 1, 1], latentChannels: z_dim },
    };
  }

  override clip(numFrames: number, height: number, width: number): ClipSize {
    const shape = latentShape(this.grid, numFrames, height, width);
    const { latentFrames, patchesPerFrame } = this.transformers[0].geometry({ shape });
    return { latentFrames, patchesPerFrame };
  }

  protected override plan(settings: Settings, given: GenerateOptions): ClipPlan {
    const { numFrames, height, width, numInferenceSteps: count, guidanceScale } = settings;
    const shape = latentShape(this.grid, numFrames, height, width);
    const { scheduler, used, notes } = schedulerFor(
      FLOW_SCHEDULERS,
      this.parts.schedulerConfig,
      settings.flowShift,
    );
    const sigmas = cosmos3NativeSigmas(count, scheduler.numTrainTimesteps);
    scheduler.setTimesteps(count, this.parts.index.use_native_flow_schedule ? { sigmas } : {});
    const neverCuts = withoutEffect("maxSequenceLength", "Cosmos 3 takes prompts of any length");
    return {
      ...{ settings, shape, scheduler, used },
      guidance: scaledGuidance(guidanceScale !== 1, () => guidanceScale),
      notes: [...notes, ...(given.maxSequenceLength === undefined ? [] : [neverCuts])],
    };
  }

  /** Both prompts in one pass of the understanding stream. */
  protected override async conditions(
    { settings, guidance }: ClipPlan,
    run: Run,
  ): Promise<Conditions<Cosmos3Understanding>> {
    const { folder, index, tokenizer } = this.parts;
    const { numFrames, height, width, fps, prompt = "", negativePrompt } = settings;
    const common = { numFrames, height, width, fps, useSystemPrompt: index.default_use_system_prompt };
    const ids = [encodeCosmos3Prompt(tokenizer, prompt, common).ids];
    if (guidance.isOn) {
      ids.push(encodeCosmos3Prompt(tokenizer, negativePrompt, { ...common, negative: true }).ids);
    }
    const component = "transformer";
    const understood = await withWeights(folder, component, (source) =>
      this.transformers[0].understand(source, ids, {
        signal: run.signal,
        onProgress: (done, total) => run.onStage?.({ stage: "encode-prompt", component, done, total }),
      }),
    );
    const [positive, negative] = understood.map((one) => run.owned.add(one));
    return { positive: positive!, negative };
  }

  protected override async forward(
    model: Cosmos3OmniTransformer,
    { latents: { data, shape }, timestep, step, control }: StepInput,
    understanding: Cosmos3Understanding,
    { settings: { fps } }: ClipPlan,
  ): Promise<Tensor> {
    using latents = this.device.upload(data, shape);
    return await model.forward({ ...control, latents, timestep, understanding, fps, step });
  }
}
