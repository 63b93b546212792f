/** Video files in Node: written beside and renamed when complete, so that a half file is never seen. */
import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { throwIfAborted, UsageError } from "@lvsa/runtime/errors";
import type { VideoBackend } from "../backend.js";
import type { ByteSink } from "../byte-sink.js";
import {
  type EncodeReport,
  type EncodeVideoOptions,
  encodeVideoTo,
  formatOfPath,
  VIDEO_EXTENSIONS,
  type VideoFormat,
} from "../encode.js";
import { checkedFrames, checkStream } from "../frames.js";
import { encodePng } from "../png.js";
import { nodeVideoBackends } from "./video-backends.js";

export type WriteVideoOptions = Omit<EncodeVideoOptions, "format">;

export interface WrittenVideo extends Omit<EncodeReport, "format"> {
  /** `folder`: one PNG per frame, `frame-00000.png` and on. */
  readonly format: VideoFormat | "folder";
  /** Absolute path of the file or folder. */
  readonly path: string;
  /** Absolute path of the JSON file beside it: title, settings, size, rate, encoder. */
  readonly sidecarPath: string;
}

const FRAME_NAME = /^frame-\d+\.png$/;

/** What is at a path: nothing, or whether it is a folder. */
async function existing(path: string): Promise<"none" | "folder" | "file"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "none";
    throw error;
  }
}

async function outputFormat(path: string): Promise<VideoFormat | "folder"> {
  const found = await existing(path);
  const wantsFolder = /[/\\]$/.test(path) || extname(path) === "" || found === "folder";
  if (!wantsFolder) return formatOfPath(path);
  if (found === "file") {
    throw new UsageError("VIDEO_FORMAT", `"${path}" is a file, and no extension says which format to write`, {
      fix: `use one of ${VIDEO_EXTENSIONS.join(", ")}, or a folder for PNG frames`,
    });
  }
  if (found === "folder") {
    const foreign = (await readdir(path)).find((name) => !FRAME_NAME.test(name));
    if (foreign !== undefined) {
      throw new UsageError("VIDEO_FOLDER", `folder "${path}" holds other things than frames: ${foreign}`, {
        fix: "name a new or empty folder, or one written by an earlier run",
      });
    }
  }
  return "folder";
}

/**
 * Says what `writeVideo` would write at a path: a folder of PNG files when it ends in a slash, has no extension or is
 * a folder already; else the format of its extension. Encodes one black frame to see that there is an encoder. For use
 * before a long computation.
 *
 * @throws ConfigError for an unknown extension, a folder with other things in it, a file where a folder should go,
 *   or when no encoder is installed for the format
 */
export async function checkVideoOutput(
  path: string,
  backends: readonly VideoBackend[] = nodeVideoBackends(),
): Promise<VideoFormat | "folder"> {
  const format = await outputFormat(path);
  if (format === "folder") return format;
  const black = { frames: [new Uint8Array(64 * 64 * 3)], width: 64, height: 64, frameCount: 1, fps: 16 };
  await encodeVideoTo({ write: () => undefined }, { ...black, format, backends });
  return format;
}

function fileSink(handle: FileHandle): ByteSink {
  return {
    async write(data, position) {
      for (let done = 0; done < data.length; ) {
        done += (await handle.write(data, done, data.length - done, position + done)).bytesWritten;
      }
    },
  };
}

async function writeFileFormat(path: string, options: EncodeVideoOptions): Promise<EncodeReport> {
  const handle = await open(path, "wx");
  try {
    const report = await encodeVideoTo(fileSink(handle), options);
    // On the disk before it gets its name, or a power cut could leave the name on an empty file.
    await handle.sync();
    return report;
  } finally {
    await handle.close();
  }
}

async function writeFolder(path: string, options: WriteVideoOptions): Promise<void> {
  checkStream(options);
  await mkdir(path);
  let index = 0;
  for await (const frame of checkedFrames(options)) {
    const name = `frame-${String(index++).padStart(5, "0")}.png`;
    await writeFile(join(path, name), await encodePng(frame, options.width, options.height));
  }
}

/** Gives the finished folder its name; one from an earlier run makes room and is removed last. */
async function replaceFolder(finished: string, path: string, aside: string): Promise<void> {
  const found = await existing(path);
  if (found !== "none") await rename(path, aside);
  await rename(finished, path);
  await rm(aside, { recursive: true, force: true });
}

/**
 * Writes a stream of frames as `.mp4`, `.webm`, `.gif`, `.png` (animated when it has several frames), `.apng`, or a
 * folder of PNG files, and `<path>.json` beside it. Everything goes under a temporary name and is renamed at the end;
 * after an error or an abort nothing is left and an older file at `path` is untouched. Missing parent folders are made.
 *
 * @throws what `checkVideoOutput` and `encodeVideo` throw, and file system errors as they are
 */
export async function writeVideo(path: string, options: WriteVideoOptions): Promise<WrittenVideo> {
  const format = await outputFormat(path);
  const target = resolve(path);
  const sidecarPath = `${target}.json`;
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}.${randomUUID().slice(0, 8)}`);
  const partial = `${temporary}.partial`;
  const partialSidecar = `${temporary}.json.partial`;
  const backends = options.backends ?? nodeVideoBackends();
  try {
    const report =
      format === "folder"
        ? await writeFolder(partial, options).then(() => ({ notes: [] }))
        : await writeFileFormat(partial, { ...options, backends, format });
    const written: WrittenVideo = { ...report, format, path: target, sidecarPath };
    await writeFile(partialSidecar, sidecar(written, options));
    throwIfAborted(options.signal, "writing the video");
    if (format === "folder") await replaceFolder(partial, target, `${temporary}.old`);
    else await rename(partial, target);
    await rename(partialSidecar, sidecarPath);
    return written;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    await rm(partialSidecar, { force: true });
    throw error;
  }
}

function sidecar(written: WrittenVideo, options: WriteVideoOptions): string {
  const { title, settings } = options.metadata ?? {};
  const { width, height, frameCount, fps } = options;
  const { format, encoder, notes } = written;
  const video = {
    file: basename(written.path),
    format,
    width,
    height,
    frames: frameCount,
    fps,
    encoder,
    notes,
  };
  return `${JSON.stringify({ title, settings, video }, undefined, 2)}\n`;
}
