/**
 * H.264 in Node without native code: the h264-mp4-encoder package (minih264 in WebAssembly). It makes a whole MP4
 * without colour tags, so its packets are taken out again and go into a container of ours.
 */
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import type { H264MP4Encoder } from "h264-mp4-encoder";
import {
  BufferSource,
  EncodedPacket,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  Input,
  MP4,
} from "mediabunny";
import { frameTiming, type VideoBackend, type VideoTrackConfig, type VideoTrackEncoder } from "../backend.js";
import { BT709_LIMITED } from "../yuv.js";

type EncoderModule = typeof import("h264-mp4-encoder");

// H.264 quantisers, 10 (best) to 51.
const QUANTIZER = { low: 33, medium: 27, high: 20 } as const;

/**
 * Loads the package. It adds handlers that end the process with its own message on any unhandled rejection, whoever
 * caused it; they are taken off again. `require`, because nothing else can run between the two listings.
 */
function loadEncoderModule(): EncoderModule {
  const require = createRequire(import.meta.url);
  const events = ["uncaughtException", "unhandledRejection"] as const;
  // Node types one signature per event; only identity matters here.
  const emitter: NodeJS.EventEmitter = process;
  const before = events.map((event) => new Set(emitter.rawListeners(event)));
  const loaded = require("h264-mp4-encoder") as EncoderModule;
  events.forEach((event, index) => {
    for (const listener of emitter.rawListeners(event)) {
      if (!before[index]!.has(listener)) emitter.off(event, listener as () => void);
    }
  });
  return loaded;
}

/** The packets of the finished MP4, into the track, with exact times and the colour tags. */
async function remux(
  file: Uint8Array,
  source: EncodedVideoPacketSource,
  config: VideoTrackConfig,
): Promise<void> {
  const input = new Input({ source: new BufferSource(file), formats: [MP4] });
  try {
    const track = await input.getPrimaryVideoTrack();
    const decoderConfig = await track?.getDecoderConfig();
    if (!track || !decoderConfig) throw new Error("h264-mp4-encoder made a file without a video track");
    const meta = { decoderConfig: { ...decoderConfig, colorSpace: BT709_LIMITED } };
    let index = 0;
    // The encoder makes no B frames: packets come in the order of the frames.
    for await (const packet of new EncodedPacketSink(track).packets()) {
      const { timestamp, duration } = frameTiming(config, index++);
      await source.add(new EncodedPacket(packet.data, packet.type, timestamp, duration), meta);
    }
  } finally {
    input.dispose();
  }
}

async function open(config: VideoTrackConfig): Promise<VideoTrackEncoder> {
  const encoder: H264MP4Encoder = await loadEncoderModule().createH264MP4Encoder();
  // All encoders of a process share one file system in memory.
  const filename = `${randomUUID()}.mp4`;
  encoder.outputFilename = filename;
  encoder.width = config.width;
  encoder.height = config.height;
  // Only its own clock, which is not kept; whole numbers are safe.
  encoder.frameRate = Math.max(1, Math.round(config.fps));
  encoder.quantizationParameter = QUANTIZER[config.quality];
  encoder.groupOfPictures = Math.max(1, Math.round(config.fps * 2));
  encoder.initialize();
  const { FS } = encoder;
  const source = new EncodedVideoPacketSource("avc");
  let finalized = false;
  return {
    source,
    async add(i420) {
      encoder.addFrameYuv(i420);
    },
    async finish() {
      finalized = true;
      encoder.finalize();
      await remux(FS.readFile(filename, { encoding: "binary" }), source, config);
    },
    close() {
      if (!finalized) encoder.finalize();
      encoder.delete();
      FS.unlink(filename);
    },
  };
}

/** H.264 Baseline by minih264: no B frames, no CABAC; larger files than x264 at the same looks. */
export const h264WasmBackend: VideoBackend = {
  name: "h264-mp4-encoder",
  codecs: ["avc"],
  howToGet: "reinstall @lvsa/diffusion, which brings h264-mp4-encoder",
  open,
};
