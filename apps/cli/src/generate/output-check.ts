/** Finds out before the run whether its results can be written. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { checkVideoOutput } from "@lvsa/video/node";
import { UsageError } from "../exit-codes.js";

export interface OutputPaths {
  readonly output: string | undefined;
  readonly outputLatent: string | undefined;
}

/** Where results go: a video unless only latents are asked for. */
export function outputPaths(options: {
  output?: string | undefined;
  outputLatent?: string | undefined;
}): OutputPaths {
  const { output, outputLatent } = options;
  return { output: output ?? (outputLatent === undefined ? "lvsa.mp4" : undefined), outputLatent };
}

/** @throws UsageError, or what `checkVideoOutput` throws */
export async function checkOutputs({ output, outputLatent }: OutputPaths): Promise<void> {
  if (output !== undefined) {
    await requireWritable("--output", output);
    await checkVideoOutput(output);
  }
  if (outputLatent === undefined) return;
  if (!outputLatent.endsWith(".safetensors")) {
    throw new UsageError(`--output-latent: expected a .safetensors file, got "${outputLatent}"`);
  }
  const there = await stat(outputLatent).catch(() => undefined);
  if (there?.isDirectory()) throw new UsageError(`--output-latent: "${outputLatent}" is a folder`);
  await requireWritable("--output-latent", outputLatent);
}

/** Missing folders are made later; the nearest one that is there must let us. */
async function requireWritable(option: string, path: string): Promise<void> {
  let folder = dirname(resolve(path));
  for (;;) {
    const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
      throw error;
    });
    if (found?.isDirectory()) break;
    if (found) throw new UsageError(`${option}: ${folder} is a file, not a folder`, "Choose another path.");
    const parent = dirname(folder);
    if (parent === folder) break;
    folder = parent;
  }
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch {
    throw new UsageError(`${option}: the folder ${folder} can not be written to`, "Choose another path.");
  }
}
