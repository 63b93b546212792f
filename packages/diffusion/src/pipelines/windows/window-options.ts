/** From the options of a generation to its windows: what they mean in latent frames, and what they go together with. */
import { badOption } from "../bad-option.js";
import { withoutEffect } from "../notes.js";
import type { GenerateOptions, PromptSegment } from "../video-pipeline.js";
import { ClipWindows } from "./clip-windows.js";

/** What of a generation decides its windows. */
export type WindowOptions = Pick<
  GenerateOptions,
  "windowFrames" | "windowOverlap" | "prompts" | "image" | "lastImage" | "imageEmbeds" | "stepCache"
>;

/** How many latent frames a number of video frames has, for one family and size. */
export interface WindowGeometry {
  /** Latent frames of the clip, with those that fill up the last token frame. */
  readonly latentFrames: number;
  /** The same of a clip of `windowFrames`. */
  readonly windowLatentFrames: number;
  /** Video frames of a latent frame. */
  readonly temporalFactor: number;
}

/** The windows of a run, and what each of them shows. */
export interface PlannedWindows {
  readonly layout: ClipWindows;
  /** Video frames of one window. */
  readonly windowFrames: number;
  /** Video frames that neighbours share. */
  readonly windowOverlap: number;
  /** Of each window; undefined where the whole clip has one prompt. */
  readonly prompts: readonly string[] | undefined;
}

/** Share of a window that its neighbour has too, where nobody says. */
const USUAL_OVERLAP = 1 / 4;

/** Video frames of the overlap, where it is not given. */
export function usualOverlap(windowLatentFrames: number, temporalFactor: number): number {
  return (
    Math.min(Math.max(1, Math.floor(windowLatentFrames * USUAL_OVERLAP)), windowLatentFrames - 1) *
    temporalFactor
  );
}

/**
 * Windows where `windowFrames` is given, one of them where the clip is no longer than that.
 *
 * @throws UsageError `BAD_OPTION` for an overlap that is no whole number of latent frames or leaves nothing new, for
 *   segments that no window would show, and for what windows do not go together with
 */
export function planWindows(
  given: WindowOptions & { readonly windowFrames: number },
  { latentFrames, windowLatentFrames: most, temporalFactor }: WindowGeometry,
): PlannedWindows {
  const { windowFrames } = given;
  const windowLatentFrames = Math.min(most, latentFrames);
  const windowOverlap = given.windowOverlap ?? usualOverlap(most, temporalFactor);
  const overlap = windowOverlap / temporalFactor;
  if (!Number.isInteger(overlap)) {
    const below = Math.floor(overlap) * temporalFactor;
    throw badOption(
      `windowOverlap is ${windowOverlap}, and a latent frame has ${temporalFactor} video frames`,
      `Use ${below} or ${below + temporalFactor}.`,
    );
  }
  if (overlap >= most) {
    throw badOption(
      `windowOverlap is ${windowOverlap}: a window of ${windowFrames} frames would show nothing new`,
      `Use at most ${(most - 1) * temporalFactor}; a quarter of the window is usual.`,
    );
  }
  const layout = new ClipWindows({
    frames: latentFrames,
    windowFrames: windowLatentFrames,
    overlap: Math.min(overlap, windowLatentFrames - 1),
  });
  if (layout.windows.length > 1) refuseTogether(given);
  const prompts = given.prompts && windowPrompts(given.prompts, layout, temporalFactor);
  return { layout, windowFrames, windowOverlap, prompts };
}

/** @throws UsageError `BAD_OPTION` */
function refuseTogether(given: WindowOptions): void {
  for (const name of ["image", "lastImage", "imageEmbeds"] as const) {
    if (given[name] === undefined) continue;
    throw badOption(
      `${name} is of one window, and windowFrames makes several`,
      `Leave ${name} out, or windowFrames.`,
    );
  }
  if (given.stepCache === undefined) return;
  throw badOption(
    "stepCache remembers one clip, and windowFrames makes several windows",
    "Leave one of the two out.",
  );
}

/** The prompt in whose segment the middle of a window lies. @throws UsageError `BAD_OPTION` for one that no window has */
function windowPrompts(
  segments: readonly PromptSegment[],
  { windows }: ClipWindows,
  temporalFactor: number,
): string[] {
  const used = new Set<PromptSegment>();
  const prompts = windows.map(({ start, frames }) => {
    const middle = (start + (frames - 1) / 2) * temporalFactor;
    const segment = segments.findLast(({ fromFrame }) => fromFrame <= middle)!;
    used.add(segment);
    return segment.prompt;
  });
  const unused = segments.find((segment) => !used.has(segment));
  if (!unused) return prompts;
  throw badOption(
    `prompts: no window has its middle in the segment from frame ${unused.fromFrame}, so that nothing would show it`,
    "Make the segment longer, windowFrames smaller or windowOverlap larger.",
  );
}

/** Video frames that the model sees at once. */
export function seenFrames(windows: PlannedWindows, numFrames: number): number {
  return windows.layout.windows.length > 1 ? windows.windowFrames : numFrames;
}

/** That windows were asked for and are none. */
export function windowNotes(windows: PlannedWindows): string[] {
  if (windows.layout.windows.length > 1) return [];
  return [withoutEffect("windowFrames", `the whole clip fits a window of ${windows.windowFrames} frames`)];
}
