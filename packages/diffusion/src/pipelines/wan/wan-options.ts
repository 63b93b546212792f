/** Options of Wan, and which of them a checkpoint can use. */
import { UsageError } from "@lvsa/runtime";
import { badOption, FamilyOptions, imageUnsupported } from "../generate-options.js";
import type { GenerateOptions } from "../video-pipeline.js";

export const wanOptions = new FamilyOptions("Wan", [
  ...(["guidanceScale2", "promptEmbeds", "negativePromptEmbeds"] as const),
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

/** @throws UsageError for what the checkpoint does not have, or does not do without */
export function checkWanOptions(given: GenerateOptions, has: WanAbilities): void {
  const { className, stages } = has;
  if (given.guidanceScale2 !== undefined && stages < 2) {
    throw badOption(
      `guidanceScale2 is the scale of a second transformer, and this checkpoint has one`,
      "Leave guidanceScale2 out.",
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
}
