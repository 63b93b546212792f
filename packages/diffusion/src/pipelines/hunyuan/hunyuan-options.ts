/** Options of HunyuanVideo 1.5, and which of them a checkpoint can use. */
import { FamilyOptions, imageNeeded, imageUnsupported } from "../generate-options.js";
import { checkEmbeds } from "../prompt-embeds.js";
import type { GenerateOptions } from "../video-pipeline.js";

export const hunyuanOptions = new FamilyOptions("HunyuanVideo", [
  ...(["promptEmbeds", "negativePromptEmbeds", "promptEmbeds2", "negativePromptEmbeds2"] as const),
  ...(["sigmas", "preset", "image"] as const),
]);

/** @throws UsageError for what the checkpoint does not take, or does not do without */
export function checkHunyuanOptions(
  given: GenerateOptions,
  className: string,
  takesImage: boolean,
  widths: { readonly text_embed_dim: number; readonly text_embed_2_dim: number },
): void {
  if (takesImage && !given.image) throw imageNeeded(className, "an image");
  if (!takesImage && given.image) throw imageUnsupported("this checkpoint", "image");
  checkEmbeds("promptEmbeds", given.promptEmbeds, widths.text_embed_dim);
  checkEmbeds("negativePromptEmbeds", given.negativePromptEmbeds, widths.text_embed_dim);
  checkEmbeds("promptEmbeds2", given.promptEmbeds2, widths.text_embed_2_dim);
  checkEmbeds("negativePromptEmbeds2", given.negativePromptEmbeds2, widths.text_embed_2_dim);
}
