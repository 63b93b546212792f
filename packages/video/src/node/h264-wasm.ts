/**
 * H.264 in Node without native code: the h264-mp4-encoder package (minih264 in WebAssembly). It makes a whole MP4 in
 * memory, without colour tags, so its packets are taken out again and go into a container of ours: one group of pictures
 * at a time, each by an encoder of its own, so that a long clip takes no more memory than two seconds of it. Groups
 * depend on nothing before them, and the quantiser is fixed: the packets are those of one encoder.
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

/** The packets of a finished MP4, into the track, with exact times and the colour tags. @returns their number */
async function remux(
  file: Uint8Array,
  source: EncodedVideoPacketSource,
  config: VideoTrackConfig,
  firstFrame: number,
): Promise<number> {
  const input = new Input({ source: new BufferSource(file), formats: [MP4] });
  try {
    const track = await input.getPrimaryVideoTrack();
    const decoderConfig = await track?.getDecoderConfig();
    if (!track || !decoderConfig) throw new Error("h264-mp4-encoder made a file without a video track");
    const meta = { decoderConfig: { ...decoderConfig, colorSpace: BT709_LIMITED } };
    let count = 0;
    // The encoder makes no B frames: packets come in the order of the frames.
    for await (const packet of new EncodedPacketSink(track).packets()) {
      const { timestamp, duration } = frameTiming(config, firstFrame + count++);
      await source.add(new EncodedPacket(packet.data, packet.type, timestamp, duration), meta);
    }
    return count;
  } finally {
    input.dispose();
  }
}

/** One encoder and its file in memory. */
interface Group {
  readonly firstFrame: number;
  add(i420: Uint8Array): void;
  /** The MP4 of the frames. */
  finish(): Uint8Array;
  close(): void;
}

async function openGroup(
  { createH264MP4Encoder }: EncoderModule,
  config: VideoTrackConfig,
  frames: number,
  firstFrame: number,
): Promise<Group> {
  const encoder: H264MP4Encoder = await createH264MP4Encoder();
  // All encoders of a process share one file system in memory.
  const filename = `${randomUUID()}.mp4`;
  encoder.outputFilename = filename;
  encoder.width = config.width;
  encoder.height = config.height;
  // Only its own clock, which is not kept; whole numbers are safe.
  encoder.frameRate = Math.max(1, Math.round(config.fps));
  encoder.quantizationParameter = QUANTIZER[config.quality];
  encoder.groupOfPictures = frames;
  encoder.initialize();
  const { FS } = encoder;
  let isFinished = false;
  const finalize = () => {
    if (!isFinished) encoder.finalize();
    isFinished = true;
  };
  return {
    firstFrame,
    add: (i420) => encoder.addFrameYuv(i420),
    finish() {
      finalize();
      return FS.readFile(filename, { encoding: "binary" });
    },
    close() {
      finalize();
      encoder.delete();
      FS.unlink(filename);
    },
  };
}

async function open(config: VideoTrackConfig): Promise<VideoTrackEncoder> {
  const module = loadEncoderModule();
  const source = new EncodedVideoPacketSource("avc");
  const groupFrames = Math.max(1, Math.round(config.fps * 2));
  const begin = (firstFrame: number) => openGroup(module, config, groupFrames, firstFrame);
  // The first one now: what does not open is said before a frame is asked for.
  let group: Group | undefined = await begin(0);
  let frames = 0;
  const flush = async () => {
    if (!group) return;
    const { firstFrame } = group;
    const count = frames === firstFrame ? 0 : await remux(group.finish(), source, config, firstFrame);
    if (count !== frames - firstFrame)
      throw new Error(`h264-mp4-encoder made ${count} packets of ${frames - firstFrame} frames`);
    group.close();
    group = undefined;
  };
  return {
    source,
    async add(i420) {
      group ??= await begin(frames);
      group.add(i420);
      frames += 1;
      if (frames - group.firstFrame === groupFrames) await flush();
    },
    finish: flush,
    close() {
      group?.close();
      group = undefined;
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
