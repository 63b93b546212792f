/** Finds out before the run whether its results can be written, and takes their names for this process. */
import { existsSync } from "node:fs";
import { lstat, open, rm, stat, statfs } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { isLvsaError, LvsaError } from "@lvsa/runtime";
import { checkVideoOutput, makeFolder, partialPath, removeStalePartials } from "@lvsa/video/node";
import { UsageError } from "../exit-codes.js";
import { formatBytes } from "../output/units.js";
import { lockOutput, lockOwner, type OutputLock } from "./output-lock.js";

export interface OutputPaths {
  readonly output: string | undefined;
  readonly outputLatent: string | undefined;
}

export interface OutputOptions {
  readonly output?: string | undefined;
  readonly outputLatent?: string | undefined;
  readonly overwrite?: boolean | undefined;
}

const DEFAULT_NAME = "lvsa";

/** Where results go: a video unless only latents are asked for. Default names count up. */
export async function outputPaths({ output, outputLatent }: OutputOptions): Promise<OutputPaths> {
  if (output !== undefined || outputLatent !== undefined) return { output, outputLatent };
  for (let i = 1; ; i++) {
    const name = `${DEFAULT_NAME}${i === 1 ? "" : `-${i}`}.mp4`;
    const isTaken = existsSync(name) || existsSync(`${name}.json`) || (await lockOwner(resolve(name)));
    if (!isTaken) return { output: name, outputLatent };
  }
}

/** What results are called after: states and latents of a run that fails lie beside it. An absolute path. */
export function mainOutput({ output, outputLatent }: OutputPaths): string {
  return resolve(output ?? outputLatent ?? "lvsa");
}

/**
 * Makes what writing will make, and takes it away again; then no other `lvsa` writes there until the locks are disposed.
 *
 * @throws UsageError, LvsaError `OUTPUT_IN_USE`, or what `checkVideoOutput` throws
 */
export async function claimOutputs(
  paths: OutputPaths,
  { overwrite = false }: OutputOptions,
): Promise<AsyncDisposable> {
  const { output, outputLatent } = paths;
  const locks: OutputLock[] = [];
  const release = {
    [Symbol.asyncDispose]: async () =>
      void (await Promise.all(locks.map((lock) => lock[Symbol.asyncDispose]()))),
  };
  const claim = async (path: string) => {
    locks.push(await lockOutput(resolve(path)));
    await removeStalePartials(resolve(path));
  };
  try {
    if (output !== undefined) {
      if (outputLatent !== undefined && resolve(output) === resolve(outputLatent)) {
        throw new UsageError("--output and --output-latent name the same file");
      }
      // Once to see that there is a folder for the lock, once more when nobody else can write there any more.
      await checkVideoOutput(output, { overwrite });
      await claim(output);
      if (!overwrite) await checkVideoOutput(output, { overwrite });
    }
    if (outputLatent !== undefined) {
      await checkFilePath(outputLatent, { option: "--output-latent", endings: [".safetensors"], overwrite });
      await claim(outputLatent);
    }
    return release;
  } catch (error) {
    await release[Symbol.asyncDispose]();
    throw error;
  }
}

export interface FileRules {
  /** For messages. */
  readonly option: string;
  /** What the file's name may end in. */
  readonly endings: readonly string[];
  readonly overwrite: boolean;
}

/**
 * The same for one file that is no video.
 *
 * @throws UsageError; LvsaError `OUTPUT_IN_USE`
 */
export async function claimFile(path: string, rules: FileRules): Promise<OutputLock> {
  await checkFilePath(path, rules);
  const lock = await lockOutput(resolve(path));
  await removeStalePartials(resolve(path));
  return lock;
}

async function checkFilePath(path: string, { option, endings, overwrite }: FileRules): Promise<void> {
  if (!endings.some((ending) => path.toLowerCase().endsWith(ending))) {
    throw new UsageError(`${option}: expected a ${endings.join(" or ")} file, got "${path}"`);
  }
  const there = await lstat(path).catch(() => undefined);
  if (there && (await stat(path).catch(() => undefined))?.isDirectory()) {
    throw new UsageError(`${option}: "${path}" is a folder`);
  }
  if (there && !overwrite) {
    throw new UsageError(
      `${option}: "${path}" is there already`,
      "Choose another path, remove it, or give --overwrite.",
    );
  }
  try {
    await makeFolder(dirname(resolve(path)));
    const partial = partialPath(resolve(path));
    await (await open(partial, "wx")).close();
    await rm(partial, { force: true });
  } catch (error) {
    if (isLvsaError(error)) throw error;
    throw new UsageError(
      `${option}: "${path}" can not be written: ${(error as Error).message}`,
      "Choose another path.",
    );
  }
}

/** The clip whose files need room. */
export interface ClipBytes {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
}

/** Bytes per pixel of a usual clip; what is compressed varies, so that this is a middle and no bound. */
const BYTES_PER_PIXEL: Readonly<Record<string, number>> = {
  // Twice for a moment: as it grew, and with its index in front.
  ".mp4": 0.1,
  ".webm": 0.05,
  ".gif": 0.5,
};
/** PNG files of frames. */
const LOSSLESS = 1.2;
/** Headers, sidecars, block sizes. */
const OVERHEAD = 64 << 10;

/** What the run's files take, at their largest moment: the video, latents and the run's state beside it. */
export function outputBytes(
  { output, outputLatent }: OutputPaths,
  { numFrames, height, width }: ClipBytes,
): number {
  const pixels = numFrames * height * width;
  const video =
    output === undefined ? 0 : pixels * (BYTES_PER_PIXEL[extname(output).toLowerCase()] ?? LOSSLESS);
  // 16 channels of 4 bytes for 8 x 8 pixels of 4 frames, as most models have; a state holds about five of these.
  const latents = pixels / 4;
  return Math.ceil(video + latents * ((outputLatent === undefined ? 0 : 1) + 1) + OVERHEAD);
}

/** @throws LvsaError `NO_SPACE` where the disk has less than the clip will take */
export async function checkSpace(paths: OutputPaths, clip: ClipBytes): Promise<void> {
  const folder = dirname(mainOutput(paths));
  const disk = await statfs(folder).catch(() => undefined);
  // Some file systems do not count.
  if (!disk || disk.blocks === 0) return;
  const [needed, free] = [outputBytes(paths, clip), disk.bavail * disk.bsize];
  if (free >= needed) return;
  throw new LvsaError(
    "NO_SPACE",
    `the clip will take about ${formatBytes(needed)}, the disk has ${formatBytes(free)} left`,
    { where: folder, fix: "Free some space, or choose another --output." },
  );
}
