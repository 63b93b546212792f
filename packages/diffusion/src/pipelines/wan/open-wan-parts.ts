/** What a Wan checkpoint is opened to. */
import type { Device, FolderReader } from "@lvsa/runtime";
import {
  hasComponent,
  type ModelIndex,
  readJson,
  readModelIndex,
} from "../../checkpoint/checkpoint-folder.js";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import { autoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan-definition.js";
import { t5Encoder, umt5Encoder } from "../../models/text-encoders/t5-encoder-definition.js";
import { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { wanTransformer } from "../../models/transformers/transformer-wan-definition.js";
import type { Component } from "../component.js";
import type { ImageEmbedder } from "../image-embedder.js";
import { autoencoder, isEncoder, openParts, type PipelineParts, stageOf } from "../pipeline-parts.js";
import type { PromptEncoder } from "../prompt-embeds.js";
import type { PipelineOptions } from "../video-pipeline.js";
import { type WanAbilities, wanAbilities } from "./wan-options.js";
import { openWanPrompts } from "./wan-prompts.js";
import { wanStages } from "./wan-stages.js";

/** Of the classes that its checkpoints hold; some have an image encoder too. */
const DEFINITIONS = [wanTransformer, autoencoderKLWan, umt5Encoder, t5Encoder];

export interface WanParts extends PipelineParts<WanTransformer3DModel, AutoencoderKLWan> {
  readonly abilities: WanAbilities;
  /** Share of the noise schedule below which the second transformer works. */
  readonly boundary: number | undefined;
  readonly prompts: PromptEncoder;
  /** The half of the autoencoder that images go through. */
  readonly encoder: Component<AutoencoderKLWan>;
  /** Where the transformer attends to embeddings of images. */
  readonly images: ImageEmbedder | undefined;
}

/** Weights are loaded when they are first needed. @throws as `openParts` */
export async function openWanParts(folder: FolderReader, options: PipelineOptions): Promise<WanParts> {
  const index = await readModelIndex(folder);
  const definitions = hasComponent(index, "image_encoder")
    ? [...DEFINITIONS, (await import("../../models/image-encoders/vision-encoder-definitions.js")).clipVision]
    : DEFINITIONS;
  const parts = await openParts(folder, index, options, definitions);
  const { device } = parts;
  const { components, boundary, notes } = wanStages(index);
  const [first, ...others] = await Promise.all(
    components.map(async (name) => {
      const config = await readJson(folder, `${name}/config.json`);
      const model = new WanTransformer3DModel(device, config, { attention: parts.attention, name });
      return stageOf(parts, name, model, options);
    }),
  );
  const vaeConfig = autoencoderKLWan.configToRun(
    await readJson(folder, "vae/config.json"),
    "vae/config.json",
  );
  const stages: WanParts["stages"] = [first!, ...others];
  const abilities = wanAbilities(
    index,
    stages.map(({ model }) => model.config),
    vaeConfig.z_dim,
  );
  const vae = autoencoder(parts, AutoencoderKLWan, vaeConfig);
  const encoder = autoencoder(parts, AutoencoderKLWan, vaeConfig, isEncoder);
  const prompts = await openWanPrompts(device, folder);
  const images = abilities.embeddedImages > 0 ? await openImages(device, folder, index) : undefined;
  return {
    ...{ ...parts, stages, vae, encoder, prompts, images, abilities, boundary },
    definition: wanTransformer,
    configs: { transformer: first!.model.config, vae: vaeConfig },
    notes: [...parts.notes, ...notes],
  };
}

/** The encoder's code comes with the checkpoints that have one. */
async function openImages(
  device: Device,
  folder: FolderReader,
  index: ModelIndex,
): Promise<ImageEmbedder | undefined> {
  const [{ ImageEmbedder }, { VisionEncoder }] = await Promise.all([
    import("../image-embedder.js"),
    import("../../models/image-encoders/vision-encoder.js"),
  ]);
  return ImageEmbedder.open(device, folder, index, "image_processor", VisionEncoder.clipPenultimate);
}
