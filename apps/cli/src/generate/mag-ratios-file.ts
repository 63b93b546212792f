/** Measured ratios of MagCache on disk: JSON with `positive` and `negative`, one number for each step. */

import { type GenerateOptions, magRatiosSchema } from "@lvsa/diffusion";
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { readTextFile } from "../read-text-file.js";
import { writeBeside } from "./latents-file.js";

const schema = z.looseObject(magRatiosSchema.shape);
export type MagRatiosFile = z.infer<typeof schema>;

/** @throws ConfigError `BAD_MAG_RATIOS` */
async function readMagRatios(path: string): Promise<z.infer<typeof magRatiosSchema>> {
  let problem: string;
  try {
    const parsed = schema.safeParse(JSON.parse(await readTextFile(path)));
    if (parsed.success) {
      const { positive, negative } = parsed.data;
      return { positive, ...(negative ? { negative } : {}) };
    }
    const [issue] = parsed.error.issues;
    problem = `${issue?.path.join(".") || "the file"}: ${issue?.message}`;
  } catch (cause) {
    problem = (cause as Error).message;
  }
  throw new ConfigError("BAD_MAG_RATIOS", `the ratios can not be read: ${problem}`, {
    where: path,
    fix: "Take a file that `lvsa calibrate` wrote.",
  });
}

/** Returns the absolute path. */
export function writeMagRatios(path: string, ratios: MagRatiosFile): Promise<string> {
  return writeBeside(path, new TextEncoder().encode(`${JSON.stringify(ratios, undefined, 1)}\n`));
}

/** `--step-cache magcache` with the file of `--mag-ratios`. */
export async function withMagRatios({
  stepCache,
  magRatios,
}: Pick<GenerateCommandOptions, "stepCache" | "magRatios">): Promise<Pick<GenerateOptions, "stepCache">> {
  if (magRatios === undefined || typeof stepCache !== "object" || stepCache.name !== "magcache") return {};
  return { stepCache: { ...stepCache, ratios: await readMagRatios(magRatios) } };
}
