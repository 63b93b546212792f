/** VP9 in WebM, with BT.709 colour tags in the stream and in the container. */
import { WebMOutputFormat } from "mediabunny";
import type { ByteSink } from "./byte-sink.js";
import { type ContainerOptions, type ContainerReport, writeContainer } from "./container.js";
import type { FrameStream } from "./frames.js";

/** Writes a stream as WebM. @throws ConfigError when no backend has a VP9 encoder. */
export function writeWebm(
  sink: ByteSink,
  stream: FrameStream,
  options: ContainerOptions,
): Promise<ContainerReport> {
  const format = new WebMOutputFormat();
  return writeContainer(sink, { extension: ".webm", codec: "vp9", format }, stream, options);
}
