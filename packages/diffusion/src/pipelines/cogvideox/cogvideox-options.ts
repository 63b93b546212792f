/** Options of CogVideoX, and which of them a checkpoint can use. */
import { FamilyOptions, imageNeeded, imageUnsupported } from "../generate-options.js";
import { withoutEffect } from "../notes.js";
import { checkEmbeds } from "../prompt-embeds.js";
import type { GenerateOptions } from "../video-pipeline.js";

export const cogVideoXOptions = new FamilyOptions("CogVideoX", [
  ...(["useDynamicGuidance", "promptEmbeds", "negativePromptEmbeds", "image"] as const),
]);

/** What a checkpoint has, as far as options ask for it. */
interface CogVideoXAbilities {
  readonly className: string;
  readonly takesImage: boolean;
  readonly textWidth: number;
  /** Text rows where it takes no other number. */
  readonly rows: number | undefined;
}

/** @throws UsageError for what the checkpoint does not take, or does not do without */
export function checkCogVideoXOptions(
  given: GenerateOptions,
  { className, takesImage, textWidth, rows }: CogVideoXAbilities,
): void {
  if (takesImage && !given.image) throw imageNeeded(className, "an image");
  if (!takesImage && given.image) throw imageUnsupported("this checkpoint", "image");
  for (const name of ["promptEmbeds", "negativePromptEmbeds"] as const) {
    checkEmbeds(name, given[name], textWidth, rows);
  }
}

/** What had no effect. */
export function cogVideoXNotes(
  { maxSequenceLength, useDynamicGuidance = false }: GenerateOptions,
  isGuided: boolean,
  guidanceScale: number,
  rows: number | undefined,
): string[] {
  const notes: string[] = [];
  if (rows !== undefined && (maxSequenceLength ?? rows) !== rows) {
    notes.push(withoutEffect("maxSequenceLength", `this checkpoint takes ${rows} tokens`));
  }
  if (useDynamicGuidance && !isGuided) {
    notes.push(withoutEffect("useDynamicGuidance", `guidance is off with guidanceScale ${guidanceScale}`));
  }
  return notes;
}
