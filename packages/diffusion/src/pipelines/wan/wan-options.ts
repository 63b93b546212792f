/** Options of Wan, and which of them a checkpoint can use. */
import { UsageError } from "@lvsa/runtime";
import type { ModelIndex } from "../../checkpoint/checkpoint-folder.js";
import type { WanTransformerConfig } from "../../models/transformers/transformer-wan-definition.js";
import type { Settings } from "../diffusion-pipeline.js";
import { badOption, FamilyOptions, imageUnsupported } from "../generate-options.js";
import { withoutEffect } from "../notes.js";
import { checkEmbeds } from "../prompt-embeds.js";
import type { GenerateOptions } from "../video-pipeline.js";
import { checkImageSize } from "./wan-image-condition.js";

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
  /** Whether it attends to embeddings of the image. */
  readonly hasImageEmbeds: boolean;
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
  const hasImageEmbeds = config!.image_dim !== null;
  return { className, stages: transformers.length, image, needsImage, hasImageEmbeds };
}

/** @throws UsageError for what the checkpoint does not have, or does not do without */
export function checkWanOptions(
  given: GenerateOptions,
  { width, height }: Settings,
  has: WanAbilities,
): void {
  const { className, stages } = has;
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
  if (has.image !== "channels" && given.lastImage) {
    throw badOption(
      "this checkpoint takes a first image only, and lastImage was given",
      "Leave lastImage out.",
    );
  }
  if (!has.hasImageEmbeds && given.imageEmbeds) throw imageUnsupported("this checkpoint", "imageEmbeds");
  if (has.needsImage && !given.image) {
    throw new UsageError("IMAGE_NEEDED", `${className} makes a video from an image, and none was given`, {
      fix: "Pass `image` (library), or use a text-to-video checkpoint.",
    });
  }
  if (has.hasImageEmbeds && !given.imageEmbeds) {
    throw new UsageError(
      "IMAGE_EMBEDS_NEEDED",
      "this checkpoint needs image embeddings, and none were given",
      {
        fix: "Pass `imageEmbeds` (CLIP's penultimate hidden states); the image encoder is not part of this package.",
      },
    );
  }
  for (const image of [given.image, given.lastImage]) if (image) checkImageSize(image, height, width);
}

/** @throws UsageError for given embeddings that the transformer does not take */
export function checkWanEmbeds(
  given: GenerateOptions,
  { image_dim: imageWidth, text_dim: textWidth }: WanTransformerConfig,
  rows: number | undefined,
): void {
  checkEmbeds("promptEmbeds", given.promptEmbeds, textWidth, rows);
  checkEmbeds("negativePromptEmbeds", given.negativePromptEmbeds, textWidth, rows);
  if (imageWidth !== null) checkEmbeds("imageEmbeds", given.imageEmbeds, imageWidth);
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
