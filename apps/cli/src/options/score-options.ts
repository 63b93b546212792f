/** Options of `lvsa score`. */
import type { Command } from "commander";
import * as z from "zod";
import { parseOptions } from "./parse-options.js";

const schema = z.object({
  videos: z.array(z.string().min(1, "expected a file or a folder")).min(1),
  ffmpeg: z.string().min(1, "expected a program").optional(),
  json: z.boolean().default(false),
});
export type ScoreCommandOptions = z.infer<typeof schema>;
/** @throws UsageError */
export const parseScoreOptions = (raw: unknown): ScoreCommandOptions => parseOptions(schema, raw);

export function addScoreOptions(command: Command): Command {
  return command
    .argument(
      "<videos...>",
      "folder of PNG frames, .png, .apng, .gif, .y4m; others (.mp4, .webm) with ffmpeg",
    )
    .option("--ffmpeg <program>", "the ffmpeg to use (default: the one in the search path)")
    .option("--json", "every number of every frame, as JSON")
    .addHelpText(
      "after",
      `
Several videos stand side by side. A frozen video is consistent and free of flicker: read the first rows first.

Examples:
  lvsa score clip.mp4
  lvsa score dense.gif lvsa.gif
  lvsa score frames/ --json`,
    );
}
