/** What both kinds of model make of the SDK's options. */
import type {
  SharedV3Warning,
  Experimental_VideoModelV3CallOptions as VideoModelV3CallOptions,
  Experimental_VideoModelV3File as VideoModelV3File,
} from "@ai-sdk/provider";
import { checkOptionKinds, UsageError } from "@lvsa/runtime/errors";
import * as z from "zod";

/** `providerOptions.lvsa`: names as in `GenerateOptions`. */
export const lvsaVideoOptionsSchema = z.strictObject({
  negativePrompt: z.string().optional(),
  numFrames: z.int().min(1).optional(),
  numInferenceSteps: z.int().min(1).max(1000).optional(),
  guidanceScale: z.number().min(0).optional(),
  flowShift: z.number().positive().optional(),
  /** Long-Video Sparse Attention; of a server only: a local engine has it when it was installed there. */
  lvsa: z.boolean().optional(),
});
export type LvsaVideoOptions = z.infer<typeof lvsaVideoOptionsSchema>;

const OPTION_NAMES = Object.fromEntries(
  Object.keys(lvsaVideoOptionsSchema.shape).map((name) => [name, "any"]),
);

export interface CallPlan {
  readonly prompt: string;
  readonly size: { readonly width: number; readonly height: number } | undefined;
  readonly duration: number | undefined;
  readonly fps: number | undefined;
  readonly seed: number | undefined;
  /** First frame. */
  readonly image: VideoModelV3File | undefined;
  readonly options: LvsaVideoOptions;
  readonly warnings: SharedV3Warning[];
}

/** @throws UsageError `BAD_OPTION` */
export function planCall(call: VideoModelV3CallOptions): CallPlan {
  const warnings: SharedV3Warning[] = [];
  const unsupported = (feature: string, details: string) =>
    warnings.push({ type: "unsupported", feature, details });
  const given = call.providerOptions.lvsa ?? {};
  // First the names, with what was probably meant; the schema looks at the values.
  checkOptionKinds<object>(OPTION_NAMES, given, "providerOptions.lvsa");
  const parsed = lvsaVideoOptionsSchema.safeParse(given);
  if (!parsed.success) throw badOption(`providerOptions.lvsa: ${z.prettifyError(parsed.error)}`);
  if (call.prompt === undefined) throw badOption("a prompt is needed");
  const [width, height] = call.resolution?.split("x").map(Number) ?? [];
  if (call.aspectRatio !== undefined && call.resolution === undefined)
    unsupported("aspectRatio", "give resolution instead, for example 832x480");
  if (call.generateAudio) unsupported("generateAudio", "these models make no sound");
  if (call.inputReferences?.length) unsupported("inputReferences", "only a first frame is taken");
  const frames = call.frameImages ?? [];
  if (frames.some(({ frameType }) => frameType === "last_frame"))
    unsupported("frameImages", "the last frame is not passed on");
  return {
    prompt: call.prompt,
    size: width && height ? { width, height } : undefined,
    duration: call.duration,
    fps: call.fps,
    seed: call.seed,
    image: call.image ?? frames.find(({ frameType }) => frameType === "first_frame")?.image,
    options: parsed.data,
    warnings,
  };
}

export function badOption(message: string): UsageError {
  return new UsageError("BAD_OPTION", message, { fix: "Options of this provider stand in its README." });
}
