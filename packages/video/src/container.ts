/** Frames into a container file: conversion to I420, an encoder, mediabunny's muxer, the tags. */
import { ConfigError } from "@lvsa/runtime/errors";
import {
  Output,
  type OutputFormat,
  StreamTarget,
  type StreamTargetChunk,
  type VideoSource,
} from "mediabunny";
import type { VideoBackend, VideoCodecName, VideoQuality, VideoTrackEncoder } from "./backend.js";
import type { ByteSink } from "./byte-sink.js";
import { checkedFrames, checkStream, type FrameStream } from "./frames.js";
import { commentOf, titleOf, type VideoMetadata } from "./metadata.js";
import { evenSize, i420Bytes, rgbToI420 } from "./yuv.js";

export interface ContainerOptions {
  readonly metadata?: VideoMetadata;
  readonly quality?: VideoQuality;
  /** Asked in this order; the first that has the codec is used. */
  readonly backends: readonly VideoBackend[];
}

export interface ContainerKind {
  /** For messages: `.mp4`. */
  readonly extension: string;
  readonly codec: VideoCodecName;
  readonly format: OutputFormat;
  /** Hand bytes on as they come, instead of a megabyte at a time: what is written so far is of use. */
  readonly isEager?: boolean;
}

/** What a container says of its one track. */
export interface TrackFacts {
  readonly fps: number;
  readonly frameCount: number;
  readonly metadata?: VideoMetadata | undefined;
}

export interface ContainerReport {
  /** Which backend compressed the frames. */
  readonly encoder: string;
  /** What a viewer should know, one sentence each. */
  readonly notes: readonly string[];
}

async function openEncoder(
  kind: ContainerKind,
  stream: FrameStream,
  options: ContainerOptions,
): Promise<[VideoBackend, VideoTrackEncoder]> {
  const candidates = options.backends.filter((backend) => backend.codecs.includes(kind.codec));
  for (const backend of candidates) {
    const encoder = await backend.open({
      codec: kind.codec,
      width: evenSize(stream.width),
      height: evenSize(stream.height),
      fps: stream.fps,
      frameCount: stream.frameCount,
      quality: options.quality ?? "high",
    });
    if (encoder) return [backend, encoder];
  }
  const names = candidates.map((backend) => backend.name).join(", ") || "none was given";
  throw new ConfigError(
    "VIDEO_ENCODER",
    `no encoder for ${kind.extension} (${kind.codec === "avc" ? "H.264" : "VP9"}) here; looked for: ${names}`,
    { fix: candidates.map((backend) => backend.howToGet).join("; or ") || "pass one in `backends`" },
  );
}

/** Opens a container, lets `fill` add the packets of its track, and completes it. Cancelled when anything fails. */
export async function muxTrack(
  sink: ByteSink,
  { format, isEager = false }: Pick<ContainerKind, "format" | "isEager">,
  source: VideoSource,
  { fps, frameCount, metadata = {} }: TrackFacts,
  fill: () => Promise<void>,
): Promise<void> {
  const writable = new WritableStream<StreamTargetChunk>({
    write: (chunk) => sink.write(chunk.data, chunk.position),
  });
  const output = new Output({
    format,
    target: new StreamTarget(writable, isEager ? {} : { chunked: true, chunkSize: 1 << 20 }),
  });
  const comment = commentOf(metadata);
  const title = titleOf(metadata);
  try {
    output.addVideoTrack(source, { frameRate: fps, maximumPacketCount: frameCount });
    output.setMetadataTags({
      ...(title === undefined ? {} : { title }),
      ...(comment === undefined ? {} : { comment }),
    });
    await output.start();
    await fill();
    await output.finalize();
  } catch (error) {
    // Best effort: the reason to report is the first error, not what cancelling adds to it.
    await output.cancel().catch(() => undefined);
    throw error;
  }
}

/** Writes a stream into a container. Holds one frame and what the encoder holds. */
export async function writeContainer(
  sink: ByteSink,
  kind: ContainerKind,
  stream: FrameStream,
  options: ContainerOptions,
): Promise<ContainerReport> {
  checkStream(stream);
  const { width, height } = stream;
  const [backend, encoder] = await openEncoder(kind, stream, options);
  try {
    await muxTrack(sink, kind, encoder.source, { ...stream, metadata: options.metadata }, async () => {
      const i420 = new Uint8Array(i420Bytes(width, height));
      let index = 0;
      for await (const frame of checkedFrames(stream)) {
        await encoder.add(rgbToI420(frame, width, height, i420), index++);
      }
      await encoder.finish();
    });
  } finally {
    encoder.close();
  }
  const padded = `${evenSize(width)}x${evenSize(height)}`;
  const notes =
    padded === `${width}x${height}`
      ? []
      : [`${width}x${height} was padded to ${padded}: ${kind.extension} video needs even sides`];
  return { encoder: backend.name, notes };
}
