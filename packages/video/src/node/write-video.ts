/** Video files in Node: written beside and renamed when complete, so that a half file is never seen. */
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { badOptions, checkOptionKinds, isLvsaError, throwIfAborted, UsageError } from "@lvsa/runtime/errors";
import type { VideoBackend } from "../backend.js";
import type { ByteSink } from "../byte-sink.js";
import {
  checkVideoOptions,
  ENCODE_KINDS,
  type EncodeReport,
  type EncodeVideoOptions,
  encodeVideoTo,
  formatOfPath,
  VIDEO_EXTENSIONS,
  type VideoFormat,
} from "../encode.js";
import { checkedFrames, checkStream } from "../frames.js";
import { jsonOf } from "../metadata.js";
import { mp4Layout } from "../mp4.js";
import { encodePng } from "../png.js";
import { makeFolder, partialPath } from "./partial-path.js";
import { remuxFastStart } from "./remux-mp4.js";
import { nodeVideoBackends } from "./video-backends.js";

export interface WriteVideoOptions extends Omit<EncodeVideoOptions, "format"> {
  /** Whether what is at the path makes way; default true. */
  readonly overwrite?: boolean;
}

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
    // Below a file there is nothing either.
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return "none";
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
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
 * a folder already; else the format of its extension. Encodes one black frame to see that there is an encoder, makes
 * missing parent folders, and makes and removes the partial files that `writeVideo` will make. For use before a long
 * computation.
 *
 * @throws UsageError for an unknown extension, a folder with other things in it, a file where a folder should go, and
 *   `VIDEO_PATH` where files can not be made; `VIDEO_EXISTS` where something is there and `overwrite` is false; ConfigError
 *   when no encoder is installed for the format
 */
export async function checkVideoOutput(
  path: string,
  options: { readonly backends?: readonly VideoBackend[]; readonly overwrite?: boolean } = {},
): Promise<VideoFormat | "folder"> {
  checkOptionKinds({ backends: "array", overwrite: "boolean" }, options, "checkVideoOutput");
  const { backends = nodeVideoBackends(), overwrite = true } = options;
  const format = await attempt(path, () => outputFormat(path));
  if (!overwrite) await requireFree(path);
  await attempt(path, () => proveWritable(resolve(path), format === "folder"));
  if (format === "folder") return format;
  const black = { frames: [new Uint8Array(64 * 64 * 3)], width: 64, height: 64, frameCount: 1, fps: 16 };
  await encodeVideoTo({ write: () => undefined }, { ...black, format, backends });
  return format;
}

/** What the file system refuses becomes an error that names the path. */
async function attempt<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const code = codeOf(error);
    if (typeof code !== "string" || isLvsaError(error)) throw error;
    throw new UsageError("VIDEO_PATH", `"${path}" can not be written: ${(error as Error).message}`, {
      fix: "Choose another path.",
      cause: error,
    });
  }
}

/** Makes what writing will make, and removes it: names that are too long, links that lead nowhere, folders that refuse. */
async function proveWritable(target: string, isFolder: boolean): Promise<void> {
  await makeFolder(dirname(target));
  const partial = partialPath(target);
  const sidecar = `${target}.json`;
  try {
    if (isFolder) await mkdir(partial);
    else await (await open(partial, "wx")).close();
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  for (const path of [target, sidecar]) {
    const found = await existing(path);
    if (found === "folder" && !(isFolder && path === target)) {
      throw new UsageError("VIDEO_PATH", `"${path}" is a folder`, { fix: "Choose another path." });
    }
  }
}

/** @throws UsageError `VIDEO_EXISTS` */
async function requireFree(path: string): Promise<void> {
  // A link is something, also where it leads nowhere.
  const isThere = await lstat(path).then(
    () => true,
    (error: unknown) => codeOf(error) !== "ENOENT" && codeOf(error) !== "ENOTDIR",
  );
  const isEmpty = (await existing(path)) === "folder" && (await readdir(path)).length === 0;
  if (isThere && !isEmpty) throw videoExists(path);
}

function videoExists(path: string): UsageError {
  return new UsageError("VIDEO_EXISTS", `"${path}" is there already`, {
    fix: "Choose another path, remove it, or ask for it to be overwritten (--overwrite).",
  });
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

/** On the disk before it gets its name, or a power cut could leave the name on an empty file. */
async function writeSynced<T>(path: string, write: (sink: ByteSink) => Promise<T>): Promise<T> {
  const handle = await open(path, "wx");
  try {
    const report = await write(fileSink(handle));
    await handle.sync();
    return report;
  } finally {
    await handle.close();
  }
}

/**
 * In fragments while frames are made, under a name that players take: a process that is killed leaves what it has. Then
 * with one index in front, unless it is to stay as it is.
 */
async function writeMp4File(
  paths: { readonly growing: string; readonly finished: string },
  options: EncodeVideoOptions,
): Promise<EncodeReport> {
  const { growing, finished } = paths;
  const layout = mp4Layout(options.mp4);
  const write = (sink: ByteSink) => encodeVideoTo(sink, { ...options, mp4: "fragmented" });
  const report = await writeSynced(growing, write);
  if (layout === "fragmented") {
    await rename(growing, finished);
  } else {
    await writeSynced(finished, (sink) => remuxFastStart(growing, sink, options));
    await rm(growing);
  }
  return report;
}

async function writeFileFormat(
  paths: { readonly growing: string; readonly finished: string },
  options: EncodeVideoOptions,
): Promise<EncodeReport> {
  if (options.format === "mp4") return await writeMp4File(paths, options);
  return await writeSynced(paths.finished, (sink) => encodeVideoTo(sink, options));
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
async function replaceFolder(finished: string, path: string, overwrite: boolean): Promise<void> {
  // Another process may put its own there at the same moment: the last one stays, whole.
  for (let attempts = 0; ; attempts++) {
    try {
      // Takes the place of an empty folder, and of none.
      return await rename(finished, path);
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error) ?? "") || attempts > 100) throw error;
    }
    if (!overwrite) throw videoExists(path);
    const aside = partialPath(path, "old");
    try {
      await rename(path, aside);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
    try {
      await rename(finished, path);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes(codeOf(error) ?? "")) throw error;
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }
}

/** Gives the finished file its name, in one step in which nobody else's is lost unless it may be. */
async function replaceFile(finished: string, path: string, overwrite: boolean): Promise<void> {
  if (overwrite) return rename(finished, path);
  try {
    await link(finished, path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw videoExists(path);
    // No hard links here.
    if ((await existing(path)) !== "none") throw videoExists(path);
    return rename(finished, path);
  }
  await rm(finished, { force: true });
}

/**
 * Writes a stream of frames as `.mp4`, `.webm`, `.gif`, `.png` (animated when it has several frames), `.apng`, or a
 * folder of PNG files, and `<path>.json` beside it. Everything goes under a temporary name and is renamed at the end;
 * after an error or an abort nothing is left and an older file at `path` is untouched. Missing parent folders are made.
 * An MP4 grows in fragments as `.<name>.<process>-<id>.partial.mp4`, which plays as far as it is written, also where the
 * process was killed; the default layout writes it once more at the end.
 *
 * @throws UsageError `BAD_OPTION`; what `checkVideoOutput` and `encodeVideo` throw, and file system errors as they are
 */
export async function writeVideo(path: string, options: WriteVideoOptions): Promise<WrittenVideo> {
  const { format: _, ...kinds } = ENCODE_KINDS;
  checkVideoOptions<WriteVideoOptions>({ ...kinds, overwrite: "boolean" }, options, "writeVideo");
  if ((options as Partial<EncodeVideoOptions>).format !== undefined) {
    throw badOptions(["format: the extension of the path says it"], "writeVideo", Object.keys(kinds));
  }
  const { overwrite = true } = options;
  // What can not be written is said before the frames are made, not after them.
  jsonOf(options.metadata ?? {});
  const format = await outputFormat(path);
  const target = resolve(path);
  const sidecarPath = `${target}.json`;
  await makeFolder(dirname(target));
  const partial = partialPath(target);
  const growing = partialPath(target, "partial.mp4");
  const partialSidecar = partialPath(target, "json.partial");
  const backends = options.backends ?? nodeVideoBackends();
  try {
    const report =
      format === "folder"
        ? await writeFolder(partial, options).then(() => ({ notes: [] }))
        : await writeFileFormat({ growing, finished: partial }, { ...options, backends, format });
    const written: WrittenVideo = { ...report, format, path: target, sidecarPath };
    await writeFile(partialSidecar, sidecar(written, options));
    throwIfAborted(options.signal, "writing the video");
    if (format === "folder") await replaceFolder(partial, target, overwrite);
    else await replaceFile(partial, target, overwrite);
    await rename(partialSidecar, sidecarPath);
    return written;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    for (const path of [growing, partialSidecar]) await rm(path, { force: true });
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
  return `${jsonOf({ title, settings, video }, 2)}\n`;
}
