/** Options of Long-Video Sparse Attention, shared by `generate` and `plan`. Names and units as in the Python scripts. */
import type { LvsaConfigInput } from "@lvsa/core";
import type { Command } from "commander";
import * as z from "zod";
import { decimalNumber, wholeNumber } from "./parse-options.js";

export const lvsaFields = {
  windowSize: wholeNumber(0).optional(),
  nFirstFrames: wholeNumber(0).optional(),
  keyFrameInterval: wholeNumber(0).optional(),
  autoKeyframes: z.literal(true).optional(),
  rotateKeyframes: z.literal(true).optional(),
  sparsityScale: decimalNumber(0).optional(),
  referenceLatentFrames: wholeNumber(1).optional(),
};

export type LvsaOptions = z.infer<z.ZodObject<typeof lvsaFields>>;

export function addLvsaOptions(command: Command): Command {
  return command
    .option("--window-size <frames>", "half width of the sliding window, in video frames (default: 12)")
    .option("--n-first-frames <frames>", "leading video frames that all others attend to (default: 4)")
    .option("--key-frame-interval <frames>", "fixed distance between keyframes, in video frames; 0: none")
    .option("--auto-keyframes", "compute the distance between keyframes from the training length")
    .option(
      "--rotate-keyframes",
      "shift the keyframes by one each denoising step (default without the two above)",
    )
    .option("--sparsity-scale <number>", "below 1 sparser, above 1 denser (default: 1)")
    .option("--reference-latent-frames <frames>", "training length in latent frames (default: the model's)");
}

/** Only what was said: defaults belong to the model's adapter and to core. */
export function lvsaConfigOf(options: LvsaOptions): LvsaConfigInput {
  const { windowSize, nFirstFrames, keyFrameInterval, autoKeyframes, rotateKeyframes } = options;
  const { sparsityScale, referenceLatentFrames } = options;
  return {
    ...(windowSize === undefined ? {} : { windowSize }),
    ...(nFirstFrames === undefined ? {} : { nFirstFrames }),
    ...(keyFrameInterval === undefined ? {} : { keyFrameInterval }),
    ...(autoKeyframes ? { autoKeyframes } : {}),
    ...(rotateKeyframes ? { rotateKeyframes, rotateGivenInterval: true } : {}),
    ...(sparsityScale === undefined ? {} : { sparsityScale }),
    ...(referenceLatentFrames === undefined ? {} : { referenceLatentFrames }),
  };
}
