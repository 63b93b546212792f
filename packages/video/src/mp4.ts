/** H.264 in MP4 with BT.709 colour tags, with the index in front or in fragments. */
import { UsageError } from "@lvsa/runtime/errors";
import { Mp4OutputFormat } from "mediabunny";
import type { ByteSink } from "./byte-sink.js";
import {
  type ContainerKind,
  type ContainerOptions,
  type ContainerReport,
  writeContainer,
} from "./container.js";
import type { FrameStream } from "./frames.js";

/**
 * `fast-start`: one index in front of all frames, which every player and editor takes; it is known only at the end.
 * `fragmented`: an index of its own for every few seconds, so that the file plays as far as it is written.
 */
export type Mp4Layout = (typeof MP4_LAYOUTS)[number];
export const MP4_LAYOUTS = ["fast-start", "fragmented"] as const;

/** @throws UsageError `VIDEO_OPTIONS` for a layout that is none */
export function mp4Layout(given: Mp4Layout = "fast-start"): Mp4Layout {
  if (MP4_LAYOUTS.includes(given)) return given;
  throw new UsageError("VIDEO_OPTIONS", `unknown layout of an MP4 "${given}"`, {
    fix: `use one of ${MP4_LAYOUTS.join(", ")}`,
  });
}

export function mp4Kind(layout: Mp4Layout): ContainerKind {
  const isFragmented = layout === "fragmented";
  const format = new Mp4OutputFormat({ fastStart: isFragmented ? "fragmented" : "reserve" });
  return { extension: ".mp4", codec: "avc", format, isEager: isFragmented };
}

/** Writes a stream as MP4. @throws ConfigError when no backend has an H.264 encoder. */
export function writeMp4(
  sink: ByteSink,
  stream: FrameStream,
  options: ContainerOptions & { readonly layout: Mp4Layout },
): Promise<ContainerReport> {
  return writeContainer(sink, mp4Kind(options.layout), stream, options);
}
