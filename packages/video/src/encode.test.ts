import { EncodedPacket, EncodedVideoPacketSource } from "mediabunny";
import { describe, expect, it } from "vitest";
import type { VideoBackend, VideoTrackConfig } from "./backend.js";
import { type EncodeVideoOptions, encodeVideo, formatOfPath } from "./encode.js";
import { decodePng } from "./read-png.js";
import { i420Bytes } from "./yuv.js";

const clip = (changes: Partial<EncodeVideoOptions> = {}): EncodeVideoOptions => ({
  format: "mp4",
  frames: [new Uint8Array(3 * 5 * 3).fill(255), new Uint8Array(3 * 5 * 3)],
  width: 3,
  height: 5,
  frameCount: 2,
  fps: 8,
  ...changes,
});

/** A codec that stores the frames as they come, for what happens around it. */
function fakeBackend(log: string[], failAt = -1): VideoBackend & { config?: VideoTrackConfig } {
  const backend: VideoBackend & { config?: VideoTrackConfig } = {
    name: "fake",
    codecs: ["vp9"],
    howToGet: "install fake",
    async open(config) {
      backend.config = config;
      const source = new EncodedVideoPacketSource("vp9");
      const decoderConfig = {
        codec: "vp09.00.10.08",
        codedWidth: config.width,
        codedHeight: config.height,
      };
      return {
        source,
        async add(i420, index) {
          if (index === failAt) throw new Error("encoder broke");
          log.push(`add ${index} ${i420.length} ${i420[0]}`);
          await source.add(new EncodedPacket(i420.slice(), "key", index / 8, 1 / 8), { decoderConfig });
        },
        finish: async () => void log.push("finish"),
        close: () => void log.push("close"),
      };
    },
  };
  return backend;
}

describe("formatOfPath", () => {
  it("goes by the extension, in any case", () => {
    expect(["a.mp4", "b/c.WebM", "d.e.gif", "f.png", "g.apng"].map(formatOfPath)).toEqual([
      "mp4",
      "webm",
      "gif",
      "png",
      "png",
    ]);
  });

  it.each(["clip.avi", "clip", "a.mp4/clip", "clip.", "x.constructor"])(
    "refuses %s with the list",
    (path) => {
      expect(() => formatOfPath(path)).toThrow(
        expect.objectContaining({ code: "VIDEO_FORMAT", fix: "use one of .mp4, .webm, .gif, .png, .apng" }),
      );
    },
  );
});

describe("encodeVideo", () => {
  it("feeds even BT.709 frames to the first encoder that has the codec, and frees it", async () => {
    const log: string[] = [];
    const other: VideoBackend = { ...fakeBackend(log), name: "absent", open: async () => undefined };
    const backend = fakeBackend(log);
    const result = await encodeVideo(clip({ format: "webm", backends: [other, backend] }));
    const bytes = i420Bytes(3, 5);
    expect(log).toEqual([`add 0 ${bytes} 235`, `add 1 ${bytes} 16`, "finish", "close"]);
    expect(backend.config).toEqual({
      codec: "vp9",
      width: 4,
      height: 6,
      fps: 8,
      frameCount: 2,
      quality: "high",
    });
    expect(result.encoder).toBe("fake");
    expect(result.notes).toEqual(["3x5 was padded to 4x6: .webm video needs even sides"]);
    // EBML magic.
    expect([...result.bytes.subarray(0, 4)]).toEqual([0x1a, 0x45, 0xdf, 0xa3]);
  });

  it("frees the encoder when it fails and reports that failure", async () => {
    const log: string[] = [];
    await expect(encodeVideo(clip({ format: "webm", backends: [fakeBackend(log, 1)] }))).rejects.toThrow(
      "encoder broke",
    );
    expect(log.at(-1)).toBe("close");
  });

  it("frees the encoder when frames are missing or the signal fires", async () => {
    for (const changes of [{ frameCount: 3 }, { signal: AbortSignal.abort() }]) {
      const log: string[] = [];
      await expect(
        encodeVideo(clip({ format: "webm", backends: [fakeBackend(log)], ...changes })),
      ).rejects.toThrow(/expected 3|stopped/);
      expect(log.at(-1)).toBe("close");
    }
  });

  it("says what was looked for and what to install when there is no encoder", async () => {
    const absent: VideoBackend = { ...fakeBackend([]), open: async () => undefined };
    await expect(encodeVideo(clip({ format: "webm", backends: [absent] }))).rejects.toMatchObject({
      code: "VIDEO_ENCODER",
      message: "no encoder for .webm (VP9) here; looked for: fake",
      fix: "install fake",
    });
    await expect(encodeVideo(clip({ backends: [absent] }))).rejects.toThrow(
      ".mp4 (H.264) here; looked for: none",
    );
  });

  it("writes PNG and GIF in the size given without any encoder", async () => {
    const png = await encodeVideo(clip({ format: "png" }));
    const { width, height, frames } = await decodePng(png.bytes);
    expect([width, height, frames.length]).toEqual([3, 5, 2]);
    const gif = await encodeVideo(clip({ format: "gif" }));
    expect(new TextDecoder().decode(gif.bytes.subarray(0, 6))).toBe("GIF89a");
    expect([png.encoder, png.notes, gif.notes]).toEqual([undefined, [], []]);
  });

  it.each(["png", "gif"] as const)("reads each %s frame before it asks for the next", async (format) => {
    // A decoder may hand over one buffer again and again.
    const buffer = new Uint8Array(3 * 5 * 3);
    function* reused() {
      for (const value of [255, 0, 90]) yield buffer.fill(value);
    }
    const separate = [255, 0, 90].map((value) => new Uint8Array(3 * 5 * 3).fill(value));
    const first = await encodeVideo(clip({ format, frames: reused(), frameCount: 3 }));
    const second = await encodeVideo(clip({ format, frames: separate, frameCount: 3 }));
    expect(first.bytes).toEqual(second.bytes);
  });

  it("refuses bad numbers before it opens anything", async () => {
    await expect(encodeVideo(clip({ fps: 0 }))).rejects.toMatchObject({ code: "VIDEO_OPTIONS" });
  });
});
