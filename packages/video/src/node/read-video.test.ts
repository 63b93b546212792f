/** Every format comes back as it was written, and damaged files are refused by name. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { VideoFrames } from "../frames.js";
import { decodeGif } from "../read-gif.js";
import { decodeY4m } from "../read-y4m.js";
import { i420Bytes, rgbToI420 } from "../yuv.js";
import { readVideo } from "./read-video.js";
import { writeVideo } from "./write-video.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-read-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const [width, height, frameCount, fps] = [20, 14, 12, 8];
/** Few colours, that 5-6-5 bits hold exactly (GIF), in areas of 2x2 (4:2:0); a square moves. */
const COLORS = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 255],
];
const frames = Array.from({ length: frameCount }, (_, t) => {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = Math.abs((x >> 1) - t) < 2 && y > 3 && y < 10;
      rgb.set(inside ? [0, 0, 0] : COLORS[((y >> 2) + (x >> 3)) % 4]!, (y * width + x) * 3);
    }
  }
  return rgb;
});
const write = (name: string) => writeVideo(join(folder, name), { frames, width, height, frameCount, fps });
const all = (clip: VideoFrames) => Array.from({ length: clip.count }, (_, index) => clip.get(index));

/** Largest difference of a byte. */
function worst(clip: VideoFrames): number {
  expect(clip).toMatchObject({ width, height, count: frameCount });
  return Math.max(...all(clip).flatMap((frame, t) => [...frame].map((v, i) => Math.abs(v - frames[t]![i]!))));
}

describe("readVideo", () => {
  it.each([
    ["frames", "png", undefined],
    ["clip.png", "png", 8],
    ["clip.apng", "png", 8],
    ["clip.gif", "gif", 8],
  ])("reads %s back exactly", async (name, decoder, rate) => {
    await write(name);
    const clip = await readVideo(join(folder, name));
    expect(clip.decoder).toBe(decoder);
    expect(clip.fps === undefined ? undefined : Math.round(clip.fps * 100) / 100).toBe(rate);
    expect(worst(clip)).toBe(0);
  });

  it("knows a file by its bytes, not by its name", async () => {
    const { path } = await write("real.gif");
    const { rename } = await import("node:fs/promises");
    await rename(path, join(folder, "lie.mp4"));
    expect((await readVideo(join(folder, "lie.mp4"))).decoder).toBe("gif");
  });

  it("counts frames of a folder as numbers", async () => {
    await write("count");
    const { rename } = await import("node:fs/promises");
    for (let t = 0; t < frameCount; t++) {
      await rename(
        join(folder, "count", `frame-${String(t).padStart(5, "0")}.png`),
        join(folder, "count", `${t + 1}.png`),
      );
    }
    expect(worst(await readVideo(join(folder, "count")))).toBe(0);
  });

  it("reads mp4 by ffmpeg, or says what is missing", async ({ skip }) => {
    await write("clip.mp4");
    const missing = readVideo(join(folder, "clip.mp4"), { ffmpeg: "/no/such/ffmpeg" });
    await expect(missing).rejects.toMatchObject({
      code: "VIDEO_DECODER",
      fix: expect.stringContaining("ffmpeg"),
    });
    if (spawnSync("ffmpeg", ["-version"]).status !== 0) skip("ffmpeg not found: install Debian's ffmpeg");
    const clip = await readVideo(join(folder, "clip.mp4"));
    expect(clip).toMatchObject({ decoder: "ffmpeg", fps });
    // Strong colours at edges lose most in 4:2:0 and H.264; the mean stays close.
    const errors = all(clip).flatMap((frame, t) => [...frame].map((v, i) => Math.abs(v - frames[t]![i]!)));
    expect(clip.count).toBe(frameCount);
    expect(errors.reduce((sum, e) => sum + e, 0) / errors.length).toBeLessThan(8);
    const text = join(folder, "text.mp4");
    await writeFile(text, "this is no video");
    await expect(readVideo(text)).rejects.toMatchObject({ code: "VIDEO_READ", where: text });
  });

  it("refuses what is not there, and folders of other things", async () => {
    const missing = readVideo(join(folder, "nothing.gif"));
    await expect(missing).rejects.toMatchObject({ code: "VIDEO_MISSING", isUsage: true });
    await expect(readVideo(folder)).rejects.toMatchObject({ code: "VIDEO_FOLDER", isUsage: true });
  });

  it("refuses frames of several sizes", async () => {
    await write("mixed");
    const small = { frames: [new Uint8Array(12)], width: 2, height: 2, frameCount: 1, fps: 1 };
    await writeVideo(join(folder, "mixed/frame-00099.png"), small);
    await rm(join(folder, "mixed/frame-00099.png.json"));
    await expect(readVideo(join(folder, "mixed"))).rejects.toMatchObject({ code: "VIDEO_READ" });
  });
});

describe("y4m", () => {
  const file = (tags: string, planes: readonly Uint8Array[], of = "W20 H14") =>
    Buffer.concat([
      Buffer.from(`YUV4MPEG2 ${of} F24000:1001 Ip ${tags}\n`),
      ...planes.flatMap((plane) => [Buffer.from("FRAME\n"), plane]),
    ]);
  const i420 = frames.map((frame) =>
    rgbToI420(frame, width, height, new Uint8Array(i420Bytes(width, height))),
  );

  it("comes back within the rounding of 8-bit BT.709", () => {
    const clip = decodeY4m(file("C420jpeg", i420));
    expect(clip.fps).toBeCloseTo(23.976, 3);
    // Two roundings in limited range, each half a step of 255 / 219, times BT.709's largest factor 1.86.
    const clipFrames = { ...clip, count: clip.frames.length, get: (i: number) => clip.frames[i]! };
    expect(worst(clipFrames)).toBeLessThanOrEqual(3);
  });

  it("reads grey, 4:4:4 and full range", () => {
    const grey = Uint8Array.from({ length: width * height }, (_, i) => i % 256);
    const half = new Uint8Array(width * height).fill(128);
    const full = decodeY4m(file("Cmono XCOLORRANGE=FULL", [grey]));
    expect(full.frames[0]!.filter((_, i) => i % 3 === 0)).toEqual(grey);
    const planar = decodeY4m(file("C444 XCOLORRANGE=FULL", [Buffer.concat([grey, half, half])]));
    expect(planar.frames).toEqual(full.frames);
  });

  it.each([
    ["no frames", file("C420", []), "no frames"],
    ["half a frame", file("C420", [i420[0]!.subarray(1)]), "ends inside of frame 0"],
    ["10 bits", file("C420p10", i420), "chroma 420p10"],
    ["no size", file("C420", i420, "W20"), "pixels"],
    ["a giant", file("C420", i420, "W99999 H99999"), "99999x99999"],
    ["no header", new Uint8Array(9000), "no header line"],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => decodeY4m(bytes)).toThrow(expect.objectContaining({ code: "VIDEO_READ" }));
    expect(() => decodeY4m(bytes)).toThrow(message);
  });
});

describe("gif", () => {
  it("is refused when it is cut or empty", async () => {
    const { path } = await write("cut.gif");
    const { readFile } = await import("node:fs/promises");
    const bytes = await readFile(path);
    for (const part of [bytes.subarray(0, 40), bytes.subarray(0, 0), bytes.subarray(0, 6)]) {
      expect(() => decodeGif(part)).toThrow(expect.objectContaining({ code: "VIDEO_READ" }));
    }
  });
});
