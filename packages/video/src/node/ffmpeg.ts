/** Video files that we do not decode ourselves, by the ffmpeg that the user has. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { ConfigError, throwIfAborted } from "@lvsa/runtime/errors";
import type { DecodedFrames } from "../read-gif.js";

/**
 * Every frame of a file's first video track, as it is stored: none repeated, none dropped.
 *
 * @throws ConfigError `VIDEO_DECODER` where ffmpeg is not there, `VIDEO_READ` where it can not read the file; AbortError
 */
export async function decodeWithFfmpeg(
  path: string,
  { ffmpeg = "ffmpeg", signal }: { readonly ffmpeg?: string; readonly signal?: AbortSignal },
): Promise<DecodedFrames> {
  // With a protocol, or ffmpeg would take what is before a colon for one.
  const input = ["-v", "info", "-nostdin", "-hide_banner", "-i", `file:${resolve(path)}`, "-map", "0:v:0"];
  const output = ["-fps_mode", "passthrough", "-c:v", "ppm", "-pix_fmt", "rgb24", "-f", "image2pipe", "-"];
  const child = spawn(ffmpeg, [...input, ...output], { stdio: ["ignore", "pipe", "pipe"] });
  const stop = () => child.kill();
  signal?.addEventListener("abort", stop, { once: true });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const ended = new Promise<number | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  });
  // Heard below; an error before that must not end the process.
  ended.catch(() => undefined);
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of child.stdout) chunks.push(chunk as Uint8Array);
    const code = await ended;
    throwIfAborted(signal, `reading ${path}`);
    if (code !== 0) throw unreadable(path, said);
    return { ...splitPpm(Buffer.concat(chunks), path), fps: fpsOf(said) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new ConfigError("VIDEO_DECODER", `${path} can only be read with ffmpeg, which is not here`, {
      fix: "Install ffmpeg, or write PNG frames (a folder, .png or .gif), which need none.",
      cause: error,
    });
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

function unreadable(path: string, said: string): ConfigError {
  const last = said.trim().split("\n").at(-1) ?? "";
  return new ConfigError("VIDEO_READ", `ffmpeg can not read it: ${last || "it does not say why"}`, {
    where: path,
    fix: "Give a file that has a video track.",
  });
}

/** From the line that describes the track. */
function fpsOf(said: string): number | undefined {
  const found = /Video:.*?([\d.]+)(k?) fps/.exec(said);
  return found ? Number(found[1]) * (found[2] ? 1000 : 1) : undefined;
}

/** Pictures one after another, each `P6 <width> <height> 255` and its bytes. */
function splitPpm(bytes: Uint8Array, path: string): Omit<DecodedFrames, "fps"> {
  const frames: Uint8Array[] = [];
  let size: { width: number; height: number } | undefined;
  for (let position = 0; position < bytes.length; ) {
    const head = new TextDecoder("latin1").decode(bytes.subarray(position, position + 64));
    const found = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(head);
    if (!found) throw unreadable(path, "its output is no picture");
    const [width, height] = [Number(found[1]), Number(found[2])];
    size ??= { width, height };
    if (width !== size.width || height !== size.height)
      throw unreadable(path, "its frames change their size");
    position += found[0].length;
    frames.push(bytes.subarray(position, position + width * height * 3));
    position += width * height * 3;
  }
  if (!size) throw unreadable(path, "it has no frames");
  return { frames, ...size };
}
