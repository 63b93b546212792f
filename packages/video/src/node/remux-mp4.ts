/** A whole MP4 in fragments, written again with one index in front. Nothing is encoded again. */

import { throwIfAborted } from "@lvsa/runtime/errors";
import {
  EncodedPacket,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  FilePathSource,
  Input,
  MP4,
} from "mediabunny";
import { frameTiming } from "../backend.js";
import type { ByteSink } from "../byte-sink.js";
import { muxTrack, type TrackFacts } from "../container.js";
import type { FrameStream } from "../frames.js";
import { mp4Kind } from "../mp4.js";

/** Holds one packet, and of the others where they lie. */
export async function remuxFastStart(
  path: string,
  sink: ByteSink,
  facts: TrackFacts & Pick<FrameStream, "signal">,
): Promise<void> {
  const input = new Input({ source: new FilePathSource(path), formats: [MP4] });
  try {
    const track = await input.getPrimaryVideoTrack();
    const decoderConfig = await track?.getDecoderConfig();
    if (!track || !decoderConfig) throw new Error(`${path} was written without a video track`);
    const source = new EncodedVideoPacketSource("avc");
    await muxTrack(sink, mp4Kind("fast-start"), source, facts, async () => {
      for await (const { data, type, timestamp: stored } of new EncodedPacketSink(track).packets()) {
        throwIfAborted(facts.signal, "writing the video");
        // The file has them in whole ticks.
        const { timestamp, duration } = frameTiming(facts, Math.round(stored * facts.fps));
        await source.add(new EncodedPacket(data, type, timestamp, duration), { decoderConfig });
      }
    });
  } finally {
    input.dispose();
  }
}
