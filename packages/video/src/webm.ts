/** VP9 in WebM, with BT.709 colour tags in the stream and in the container. */
import { WebMOutputFormat } from "mediabunny";
import type { ByteSink } from "./byte-sink.js";
import { type ContainerOptions, type ContainerReport, writeContainer } from "./container.js";
import type { FrameStream } from "./frames.js";

/**
 * `TargetTypeValue` 50 (the whole file) and its name `MOVIE`, as mediabunny writes them in front of the tags. Readers
 * built on FFmpeg put that name into the name of each tag (`MOVIE/TITLE`), and players then find no title.
 */
const NAMED_TARGET = Uint8Array.of(0x68, 0xca, 0x81, 50, 0x63, 0xca, 0x85, 0x4d, 0x4f, 0x56, 0x49, 0x45);
/** The same target, with an element that says nothing in the place of the name, which the format leaves optional. */
const TARGET = Uint8Array.of(0x68, 0xca, 0x81, 50, 0xec, 0x86, 0, 0, 0, 0, 0, 0);

/** The tags lie in front of the first frame, so in the first bytes that are written. */
function withoutTargetName(sink: ByteSink): ByteSink {
  return {
    write(data, position) {
      if (position !== 0) return sink.write(data, position);
      const at = indexOf(data, NAMED_TARGET);
      if (at < 0) return sink.write(data, position);
      const bytes = data.slice();
      bytes.set(TARGET, at);
      return sink.write(bytes, position);
    },
  };
}

function indexOf(data: Uint8Array, wanted: Uint8Array): number {
  let at = data.indexOf(wanted[0]!);
  while (at >= 0 && !wanted.every((byte, i) => data[at + i] === byte)) at = data.indexOf(wanted[0]!, at + 1);
  return at;
}

/** Writes a stream as WebM. @throws ConfigError when no backend has a VP9 encoder. */
export function writeWebm(
  sink: ByteSink,
  stream: FrameStream,
  options: ContainerOptions,
): Promise<ContainerReport> {
  const format = new WebMOutputFormat();
  return writeContainer(
    withoutTargetName(sink),
    { extension: ".webm", codec: "vp9", format },
    stream,
    options,
  );
}
