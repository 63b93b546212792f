/** From latents and frames to files. */
import type { DecodeResult, HostTensor } from "@lvsa/diffusion";
import { isLvsaError, LvsaError } from "@lvsa/runtime";
import type { Mp4Layout } from "@lvsa/video";
import { writeVideo } from "@lvsa/video/node";
import { writeLatents } from "./latents-file.js";
import type { OutputPaths } from "./output-check.js";
import type { RunReporter } from "./reporter.js";

export interface Results extends Omit<DecodeResult, "settings" | "notes"> {
  readonly latents: HostTensor;
  /** For the video's metadata. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** For the header of the latents' file. */
  readonly latentsMetadata: Readonly<Record<string, string>>;
}

export interface WriteOptions {
  readonly overwrite: boolean;
  /** Layout of an MP4, where it was asked for. */
  readonly mp4: Mp4Layout | undefined;
  readonly signal: AbortSignal;
  readonly reporter: RunReporter;
}

/** What was written, by the names of the result's event. */
export interface Written {
  readonly output?: string;
  readonly output_latent?: string;
}

/** @throws LvsaError `OUTPUT_FAILED` for what the file system refuses; what `writeVideo` and the frames throw */
export async function writeResults(
  { output, outputLatent }: OutputPaths,
  results: Results,
  { overwrite, mp4, signal, reporter }: WriteOptions,
): Promise<Written> {
  const written: { output?: string; output_latent?: string } = {};
  const { latents, settings, latentsMetadata, ...video } = results;
  if (outputLatent !== undefined) {
    written.output_latent = await naming(outputLatent, () =>
      writeLatents(outputLatent, latents, latentsMetadata),
    );
  }
  if (output === undefined) return written;
  const metadata = { title: titleOf(settings), settings };
  const { path, notes } = await naming(output, () =>
    writeVideo(output, { ...video, metadata, signal, overwrite, ...(mp4 ? { mp4 } : {}) }),
  );
  for (const note of notes) reporter.notice(note);
  return { ...written, output: path };
}

/** The prompt, or the prompts of the segments one after the other. */
function titleOf({ prompt, prompts }: Results["settings"]): string {
  if (typeof prompts !== "string") return String(prompt ?? "");
  const segments = JSON.parse(prompts) as { readonly prompt: string }[];
  return segments.map((segment) => segment.prompt).join(" ");
}

/** Errors of the file system say which file, and what to do. */
async function naming<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The output was proven before the run: what is wrong with it now is nobody's wrong usage.
    if (isLvsaError(error) && error.isUsage)
      throw new LvsaError("OUTPUT_FAILED", `the file can not be written: ${error.message}`, {
        where: path,
        fix: error.fix ?? "Choose another --output.",
        cause: error,
      });
    if (isLvsaError(error) || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) throw error;
    throw new LvsaError("OUTPUT_FAILED", `the file can not be written: ${(error as Error).message}`, {
      where: path,
      fix:
        code === "ENOSPC" || code === "EDQUOT"
          ? "Free some space, or choose another --output."
          : "Choose another --output.",
      cause: error,
    });
  }
}
