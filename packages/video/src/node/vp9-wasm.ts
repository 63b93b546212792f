/**
 * VP9 in Node without native code: libvpx in WebAssembly, from the optional package @libav.js/variant-webm-vp9
 * (LGPL-2.1, loaded only when a WebM is asked for).
 */
import type LibAV from "@libav.js/variant-webm-vp9";
import { importOptional } from "@lvsa/runtime/node-import";
import { EncodedPacket, EncodedVideoPacketSource } from "mediabunny";
import { frameTiming, type VideoBackend, type VideoTrackConfig, type VideoTrackEncoder } from "../backend.js";
import { toRational } from "../frame-rate.js";
import { BT709_LIMITED } from "../yuv.js";

// libvpx constant-quality levels, 0 (best) to 63.
const CRF = { low: 40, medium: 30, high: 18 } as const;
const KEY_FLAG = 1;

/** VP9 levels: name, most luma samples a second, most luma samples a picture. Source: VP9 specification, annex A. */
const LEVELS: readonly (readonly [name: string, rate: number, picture: number])[] = [
  ["10", 829_440, 36_864],
  ["11", 2_764_800, 73_728],
  ["20", 4_608_000, 122_880],
  ["21", 9_216_000, 245_760],
  ["30", 20_736_000, 552_960],
  ["31", 36_864_000, 983_040],
  ["40", 83_558_400, 2_228_224],
  ["41", 160_432_128, 2_228_224],
  ["50", 311_951_360, 8_912_896],
  ["51", 588_251_136, 8_912_896],
  ["52", 1_176_502_272, 8_912_896],
  ["60", 1_176_502_272, 35_651_584],
  ["61", 2_353_004_544, 35_651_584],
  ["62", 4_706_009_088, 35_651_584],
];

/** Profile 0, 8 bits, 4:2:0, BT.709 limited. */
function codecString({ width, height, fps }: VideoTrackConfig): string {
  const picture = width * height;
  const fits = LEVELS.find(([, rate, largest]) => picture <= largest && picture * fps <= rate);
  return `vp09.00.${fits?.[0] ?? "62"}.08.01.01.01.01.00`;
}

async function open(config: VideoTrackConfig): Promise<VideoTrackEncoder | undefined> {
  const { module } = await importOptional<{ readonly default: LibAV.LibAVWrapper }>(
    "@libav.js/variant-webm-vp9",
    () => import("@libav.js/variant-webm-vp9"),
  );
  if (!module) return undefined;
  const libav = await module.default.LibAV({ noworker: true, nothreads: true });
  // Otherwise it prints its version on every start.
  await libav.av_log_set_level(libav.AV_LOG_ERROR);
  const { width, height, fps } = config;
  const rate = toRational(fps, 1_000_000);
  const [, context, frame, packet] = await libav.ff_init_encoder("libvpx-vp9", {
    ctx: {
      width,
      height,
      pix_fmt: libav.AV_PIX_FMT_YUV420P,
      framerate_num: rate.numerator,
      framerate_den: rate.denominator,
      gop_size: Math.max(1, Math.round(fps * 2)),
    },
    time_base: [rate.denominator, rate.numerator],
    options: {
      colorspace: "bt709",
      color_primaries: "bt709",
      color_trc: "bt709",
      color_range: "tv",
      crf: String(CRF[config.quality]),
      // No bit rate target: quality alone decides.
      b: "0",
      // The fast settings of libvpx, one packet per frame at once: WebAssembly is slow enough.
      deadline: "realtime",
      "cpu-used": "6",
      "lag-in-frames": "0",
    },
  });
  const source = new EncodedVideoPacketSource("vp9");
  const meta = {
    decoderConfig: {
      codec: codecString(config),
      codedWidth: width,
      codedHeight: height,
      colorSpace: BT709_LIMITED,
    },
  };
  const layout = [
    { offset: 0, stride: width },
    { offset: width * height, stride: width / 2 },
    { offset: (width * height * 5) / 4, stride: width / 2 },
  ];
  const send = async (packets: readonly LibAV.Packet[]) => {
    for (const { data, flags = 0, pts = 0 } of packets) {
      const { timestamp, duration } = frameTiming(config, pts);
      const type = flags & KEY_FLAG ? "key" : "delta";
      await source.add(new EncodedPacket(data, type, timestamp, duration), meta);
    }
  };
  return {
    source,
    async add(i420, index) {
      const picture = {
        data: i420,
        layout,
        format: libav.AV_PIX_FMT_YUV420P,
        width,
        height,
        pts: index,
        ptshi: 0,
        time_base_num: rate.denominator,
        time_base_den: rate.numerator,
      };
      await send(await libav.ff_encode_multi(context, frame, packet, [picture]));
    },
    async finish() {
      await send(await libav.ff_encode_multi(context, frame, packet, [], true));
    },
    close() {
      libav.ff_free_encoder_sync(context, frame, packet);
      libav.terminate();
    },
  };
}

/** VP9 by libvpx. */
export const vp9WasmBackend: VideoBackend = {
  name: "@libav.js/variant-webm-vp9",
  codecs: ["vp9"],
  howToGet: "npm install @libav.js/variant-webm-vp9@6.10.9 (LGPL-2.1, 22 MB)",
  open,
};
