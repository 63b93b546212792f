/** `--prompts`: a prompt for each segment of a long clip, from a JSON file. */

import type { PromptSegment } from "@lvsa/diffusion";
import { UsageError } from "@lvsa/runtime";
import * as z from "zod";
import { readTextFile } from "../read-text-file.js";

const schema = z
  .array(
    z.strictObject({
      from_frame: z
        .int("expected a whole number of at least 0")
        .min(0, "expected a whole number of at least 0"),
      prompt: z.string("expected a text"),
    }),
    "expected a list",
  )
  .min(1, "expected at least one segment");

const EXAMPLE =
  '[{"from_frame": 0, "prompt": "A fox sleeps."}, {"from_frame": 81, "prompt": "The fox wakes."}]';

/**
 * Segments in the order of the file; whether they fit the clip is the library's to say.
 *
 * @throws UsageError `BAD_PROMPTS_FILE`
 */
export async function readPrompts(path: string): Promise<PromptSegment[]> {
  let problem: string;
  try {
    const parsed = schema.safeParse(JSON.parse(await readTextFile(path)));
    if (parsed.success) {
      return parsed.data.map(({ from_frame: fromFrame, prompt }) => ({ fromFrame, prompt }));
    }
    const [issue] = parsed.error.issues;
    problem = `${issue?.path.join(".") || "the file"}: ${issue?.message}`;
  } catch (cause) {
    problem = (cause as Error).message;
  }
  throw new UsageError("BAD_PROMPTS_FILE", `the prompts can not be read: ${problem}`, {
    where: path,
    fix: `Write them as ${EXAMPLE}`,
  });
}
