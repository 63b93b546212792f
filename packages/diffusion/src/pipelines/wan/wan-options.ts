/** Options of Wan, and which of them a checkpoint can use. */
import { UsageError } from "@lvsa/runtime";
import { hasComponent, type ModelIndex } from "../../checkpoint/checkpoint-folder.js";
import type { WanTransformerConfig } from "../../models/transformers/transformer-wan-definition.js";
import { badOption } from "../bad-option.js";
import type { Settings } from "../clip-plan.js";
import { FamilyOptions, imageNeeded, imageUnsupported } from "../generate-options.js";
import { withoutEffect } from "../notes.js";
import { checkEmbeds } from "../prompt-embeds.js";
import type { CachedModelOf } from "../run-step-cache.js";
import type { GenerateOptions } from "../video-pipeline.js";

export const wanOptions = new FamilyOptions("Wan", [
  ...([
    "guidanceScale2",
    "boundaryStepIndex",
    "sigmas",
    "preset",
    "promptEmbeds",
    "negativePromptEmbeds",
  ] as const),
  ...(["image", "lastImage", "imageEmbeds"] as const),
]);

/** What a checkpoint has, as far as options ask for it. */
export interface WanAbilities {
  readonly className: string;
  /** Its transformers: one or two. */
  readonly stages: number;
  /** How an image enters: `channels` beside the latents, in place of the first frame (TI2V), or not at all. */
  readonly image: "channels" | "first-frame" | undefined;
  /** Whether it can not do without one. */
  readonly needsImage: boolean;
  /** Images to whose embeddings it attends: none, the first, or the first and the last. */
  readonly embeddedImages: 0 | 1 | 2;
  /** Whether the checkpoint holds the encoder that makes them. */
  readonly hasImageEncoder: boolean;
}

export function wanAbilities(
  index: ModelIndex & { readonly expand_timesteps?: unknown },
  transformers: readonly WanTransformerConfig[],
  latentChannels: number,
): WanAbilities {
  const className = index._class_name;
  const [config] = transformers;
  const needsImage = className === "WanImageToVideoPipeline" || config!.in_channels > latentChannels;
  const image = index.expand_timesteps === true ? "first-frame" : needsImage ? "channels" : undefined;
  // The table of positions joins the rows of two images.
  const embeddedImages = config!.image_dim === null ? 0 : config!.pos_embed_seq_len === null ? 1 : 2;
  const hasImageEncoder = hasComponent(index, "image_encoder");
  return { className, stages: transformers.length, image, needsImage, embeddedImages, hasImageEncoder };
}

/** @throws UsageError for what the checkpoint does not have, or does not do without */
export function checkWanOptions(given: GenerateOptions, { numFrames }: Settings, has: WanAbilities): void {
  const { stages } = has;
  if (given.guidanceScale2 !== undefined && stages < 2) {
    throw badOption(
      `guidanceScale2 is the scale of a second transformer, and this checkpoint has one`,
      "Leave guidanceScale2 out.",
    );
  }
  if (given.boundaryStepIndex !== undefined && stages < 2) {
    throw badOption(
      "boundaryStepIndex says when a second transformer takes over, and this checkpoint has one",
      "Leave boundaryStepIndex out.",
    );
  }
  if (!has.image && given.image) throw imageUnsupported("this checkpoint", "image");
  if (has.embeddedImages === 0 && given.imageEmbeds) throw imageUnsupported("this checkpoint", "imageEmbeds");
  checkLastImage(given, numFrames, has);
  if (has.needsImage && !given.image) throw imageNeeded(has.className, "an image");
  if (has.embeddedImages > 0 && !has.hasImageEncoder && !given.imageEmbeds) {
    throw new UsageError(
      "IMAGE_EMBEDS_NEEDED",
      "this checkpoint needs image embeddings, none were given, and it holds no image encoder to make them",
      { fix: "Download the whole checkpoint, or pass `imageEmbeds` (CLIP's penultimate hidden states)." },
    );
  }
}

function checkLastImage(given: GenerateOptions, numFrames: number, has: WanAbilities): void {
  if (!given.lastImage) {
    // Without one, the embeddings of both are to be given.
    if (has.embeddedImages === 2 && given.image && !given.imageEmbeds) {
      throw imageNeeded(has.className, "a first and a last image", "lastImage");
    }
    return;
  }
  const takesFirstOnly = has.image !== "channels" || (has.embeddedImages === 1 && !given.imageEmbeds);
  if (takesFirstOnly) {
    const what = "this checkpoint takes a first image only, and lastImage was given";
    throw badOption(what, "Leave lastImage out, or use a checkpoint for first and last frame.");
  }
  if (numFrames < 2) throw badOption("lastImage needs a video of more than one frame", "Raise numFrames.");
}

/** @throws UsageError for given embeddings that the transformer does not take */
export function checkWanEmbeds(
  given: GenerateOptions,
  { image_dim: imageWidth, text_dim: textWidth }: WanTransformerConfig,
  { embeddedImages }: WanAbilities,
  rows: number | undefined,
): void {
  checkEmbeds("promptEmbeds", given.promptEmbeds, textWidth, rows);
  checkEmbeds("negativePromptEmbeds", given.negativePromptEmbeds, textWidth, rows);
  if (imageWidth === null) return;
  checkEmbeds("imageEmbeds", given.imageEmbeds, imageWidth, undefined, embeddedImages);
}

/** What had no effect. @param rows text rows where the checkpoint takes no other number */
export function wanNotes(
  given: GenerateOptions,
  isGuided: boolean,
  guidanceScale: number,
  rows: number | undefined,
): string[] {
  const { guidanceScale2, maxSequenceLength = rows } = given;
  const notes: string[] = [];
  if (guidanceScale2 !== undefined && !isGuided) {
    notes.push(withoutEffect("guidanceScale2", `guidance is off with guidanceScale ${guidanceScale}`));
  }
  if (rows !== undefined && maxSequenceLength !== rows) {
    notes.push(withoutEffect("maxSequenceLength", `this checkpoint takes ${rows} tokens`));
  }
  return notes;
}

/** How step caches know the model. */
export function wanCachedModel({ image, needsImage }: WanAbilities, settings: Settings): CachedModelOf {
  const hasTokenTimesteps = image === "first-frame";
  return {
    isImageToVideo: needsImage || (hasTokenTimesteps && settings.image !== undefined),
    hasTokenTimesteps,
  };
}

/** Pipeline class that checkpoints of FastVideo name. */
const DMD_CLASS = "WanDMDPipeline";
/** Of the autoencoder of Wan 2.2 TI2V. */
const TI2V_LATENT_CHANNELS = 48;

/** FastVideo's class for models that were distilled to three steps; without it, as asked. */
export function withWanPreset(
  options: GenerateOptions,
  className: string,
  latentChannels: number,
): GenerateOptions {
  if (className !== DMD_CLASS || options.preset !== undefined || options.scheduler !== undefined)
    return options;
  return {
    ...options,
    preset: latentChannels === TI2V_LATENT_CHANNELS ? "fastwan-5b-3step" : "fastwan-3step",
  };
}
