/** Video files back to RGB frames, for scoring and comparing: what `writeVideo` writes, and what ffmpeg reads. */
import { open, readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { ConfigError, checkOptionKinds, UsageError } from "@lvsa/runtime/errors";
import type { VideoFrames } from "../frames.js";
import { decodeGif } from "../read-gif.js";
import { decodePng, type PngImage } from "../read-png.js";
import { decodeY4m } from "../read-y4m.js";
import { rgbOf } from "../rgb-of.js";
import { decodeWithFfmpeg } from "./ffmpeg.js";

export interface ReadVideo extends VideoFrames {
  /** Frames per second, where the file says it. */
  readonly fps: number | undefined;
  /** What decoded the file: `png`, `gif`, `y4m` or `ffmpeg`. */
  readonly decoder: string;
}

export interface ReadVideoOptions {
  /** The program that decodes mp4 and webm; default `ffmpeg`, from the search path. */
  readonly ffmpeg?: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads a whole clip into memory: a folder of PNG frames (in the order of their names, numbers as numbers), `.png`, `.apng`,
 * `.gif` and `.y4m` by ourselves; everything else by ffmpeg, where that is installed.
 *
 * @throws UsageError `BAD_OPTION`; `VIDEO_FOLDER` for a folder without frames or with other things in it, `VIDEO_MISSING`; ConfigError
 *   `VIDEO_READ` (or `PNG`) for a damaged file and frames of several sizes, `VIDEO_DECODER` without ffmpeg; AbortError
 */
export async function readVideo(path: string, options: ReadVideoOptions = {}): Promise<ReadVideo> {
  checkOptionKinds({ ffmpeg: "string", signal: "object" }, options, "readVideo");
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT")
      throw new UsageError("VIDEO_MISSING", `there is no file or folder "${path}"`);
    throw error;
  });
  if (found.isDirectory()) return readFolder(path);
  // A pipe would be waited for, and a device read, for ever.
  if (!found.isFile()) {
    throw new ConfigError("VIDEO_READ", "this is a pipe, a device or a socket, not a file", {
      where: path,
      fix: "Copy what it gives to a file.",
    });
  }
  switch (await kindOf(path)) {
    case "png": {
      const image = await decodePng(await readFile(path));
      const delay = image.delays[0];
      return { ...clipOf(rgbFrames(image, path), image), fps: delay ? 1 / delay : undefined, decoder: "png" };
    }
    case "gif": {
      const { frames, width, height, fps } = decodeGif(await readFile(path));
      return { ...clipOf(frames, { width, height }), fps, decoder: "gif" };
    }
    case "y4m": {
      const { frames, width, height, fps } = decodeY4m(await readFile(path));
      return { ...clipOf(frames, { width, height }), fps, decoder: "y4m" };
    }
    default: {
      const { frames, width, height, fps } = await decodeWithFfmpeg(path, options);
      return { ...clipOf(frames, { width, height }), fps, decoder: "ffmpeg" };
    }
  }
}

/** By its first bytes: a name may lie. */
async function kindOf(path: string): Promise<"png" | "gif" | "y4m" | "other"> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(10), 0, 10, 0);
    const start = String.fromCharCode(...buffer.subarray(0, bytesRead));
    if (start.startsWith("\x89PNG")) return "png";
    if (start.startsWith("GIF8")) return "gif";
    return start.startsWith("YUV4MPEG2") ? "y4m" : "other";
  } finally {
    await file.close();
  }
}

async function readFolder(path: string): Promise<ReadVideo> {
  const names = (await readdir(path)).filter((name) => !name.startsWith("."));
  const foreign = names.find((name) => extname(name).toLowerCase() !== ".png");
  if (foreign !== undefined || names.length === 0) {
    throw new UsageError(
      "VIDEO_FOLDER",
      foreign === undefined
        ? `folder "${path}" holds no frames`
        : `folder "${path}" holds other things than frames: ${foreign}`,
      { fix: "Give a folder of PNG files, one for each frame." },
    );
  }
  names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const frames: Uint8Array[] = [];
  let size: PngImage | undefined;
  for (const name of names) {
    const image = await decodePng(await readFile(join(path, name)));
    size ??= image;
    if (image.width !== size.width || image.height !== size.height || image.frames.length !== 1) {
      throw new ConfigError(
        "VIDEO_READ",
        `${name} is ${image.width}x${image.height} with ${image.frames.length} frames, ${names[0]} is ${size.width}x${size.height}`,
        { where: path, fix: "Give still pictures of one size." },
      );
    }
    frames.push(...rgbFrames(image, join(path, name)));
  }
  return { ...clipOf(frames, size!), fps: undefined, decoder: "png" };
}

function rgbFrames(image: PngImage, path: string): Uint8Array[] {
  return image.frames.map((frame) => rgbOf(frame, image.channels, path));
}

function clipOf(frames: readonly Uint8Array[], size: { readonly width: number; readonly height: number }) {
  return {
    width: size.width,
    height: size.height,
    count: frames.length,
    get: (index: number) => frames[index]!,
  };
}
