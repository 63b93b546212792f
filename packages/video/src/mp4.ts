/** H.264 in MP4, with the index in front (so that it plays while it downloads) and BT.709 colour tags. */
import { Mp4OutputFormat } from "mediabunny";
import type { ByteSink } from "./byte-sink.js";
import { type ContainerOptions, type ContainerReport, writeContainer } from "./container.js";
import type { FrameStream } from "./frames.js";

/** Writes a stream as MP4. @throws ConfigError when no backend has an H.264 encoder. */
export function writeMp4(
  sink: ByteSink,
  stream: FrameStream,
  options: ContainerOptions,
): Promise<ContainerReport> {
  const format = new Mp4OutputFormat({ fastStart: "reserve" });
  return writeContainer(sink, { extension: ".mp4", codec: "avc", format }, stream, options);
}
