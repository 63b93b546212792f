/** Remarks on options that had no effect. The rule for errors and notes is written down in `docs/options.md`. */
import type { Guidance } from "./guidance.js";
import type { GenerateOptions } from "./video-pipeline.js";

export function withoutEffect(option: keyof GenerateOptions, why: string): string {
  return `${option} had no effect: ${why}.`;
}

/** What of a clip's plan the remarks are about. */
export interface NotedPlan {
  readonly settings: Pick<GenerateOptions, "guidanceScale">;
  readonly guidance: Pick<Guidance, "isOn">;
}

/** What all families have to say. */
export function commonNotes(plan: NotedPlan, given: GenerateOptions, usesSeed: boolean): string[] {
  const { settings, guidance } = plan;
  const notes: string[] = [];
  if (!guidance.isOn) {
    const why = `guidance is off with guidanceScale ${settings.guidanceScale}`;
    if (given.negativePrompt) notes.push(withoutEffect("negativePrompt", why));
    if (given.negativePromptEmbeds) notes.push(withoutEffect("negativePromptEmbeds", why));
    if (given.guidanceBatch) notes.push(withoutEffect("guidanceBatch", why));
    if (given.guidanceScale !== undefined && given.guidanceScale < 1) {
      notes.push(`guidanceScale ${given.guidanceScale} turned guidance off, as 1 does.`);
    }
  }
  const encodesText =
    given.promptEmbeds === undefined || (guidance.isOn && given.negativePromptEmbeds === undefined);
  if (given.maxSequenceLength !== undefined && !encodesText) {
    notes.push(withoutEffect("maxSequenceLength", "embeddings were given, and no text was encoded"));
  }
  if (given.seed !== undefined && !usesSeed) {
    notes.push(withoutEffect("seed", "initialLatents were given, and the scheduler draws no noise"));
  }
  return notes;
}
