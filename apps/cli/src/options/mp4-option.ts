/** `--mp4`: how a video file with that ending is laid out. */
import { MP4_LAYOUTS, type Mp4Layout } from "@lvsa/video";
import { Option } from "commander";
import * as z from "zod";

export const mp4Field = z.enum(MP4_LAYOUTS, `expected ${MP4_LAYOUTS.join(" or ")}`).optional();

export function mp4Option(): Option {
  return new Option(
    "--mp4 <layout>",
    "fast-start: one index in front; fragmented: as it grew, an index for every few seconds (default: fast-start)",
  );
}

/** A layout of something else has no effect. */
export function refuseMp4(
  { mp4, output }: { readonly mp4?: string | undefined; readonly output?: string | undefined },
  context: z.RefinementCtx,
): void {
  if (mp4 === undefined || output === undefined || isMp4(output)) return;
  context.addIssue({ code: "custom", path: ["mp4"], message: `is for an .mp4, and --output is "${output}"` });
}

/** The layout that a run began with, as long as its output is an MP4. */
export function keptMp4(given: unknown, output: string | undefined): Mp4Layout | undefined {
  return output === undefined || isMp4(output) ? mp4Field.safeParse(given).data : undefined;
}

const isMp4 = (path: string) => /\.mp4$/i.test(path);
