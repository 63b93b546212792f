/** The files as somebody else's decoder sees them: Debian's ffmpeg. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodePng } from "../read-png.js";
import { writeVideo } from "./write-video.js";

const missing = ["ffmpeg", "ffprobe"].filter((name) => spawnSync(name, ["-version"]).status !== 0);
const reason = missing.length === 0 ? "" : `${missing.join(" and ")} not found: install Debian's ffmpeg`;

it("has ffmpeg to test with", ({ skip }) => {
  if (!reason) return;
  console.warn(`video files are not checked: ${reason}`);
  if (process.env.CI) throw new Error(reason);
  skip(reason);
});

const folder = mkdtempSync(join(tmpdir(), "lvsa-ffmpeg-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A smooth moving scene with strong colours in large areas: what generated clips are made of. */
function scene(width: number, height: number, index: number): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      const wave = Math.sin((x + 3 * index) / 23) * Math.cos((y - 2 * index) / 31);
      rgb[at] = 128 + 120 * wave;
      rgb[at + 1] = (200 * y) / height + 20;
      rgb[at + 2] = 235 - (180 * x) / width;
    }
  }
  return rgb;
}

function write(name: string, width: number, height: number, frameCount: number, fps: number) {
  function* frames() {
    for (let index = 0; index < frameCount; index++) yield scene(width, height, index);
  }
  const metadata = {
    title: 'Ein "Fuchs" läuft, 雪',
    settings: { seed: 42, model: "tiny", lvsa: { window: 3 } },
  };
  return writeVideo(join(folder, name), { frames: frames(), width, height, frameCount, fps, metadata });
}

interface Probe {
  readonly streams: readonly Readonly<Record<string, string | number>>[];
  readonly format: { readonly duration: string; readonly tags: Readonly<Record<string, string>> };
}

function probe(path: string): Probe {
  const show = ["-count_frames", "-show_streams", "-show_format", "-of", "json"];
  return JSON.parse(execFileSync("ffprobe", ["-v", "error", ...show, path], { encoding: "utf8" }));
}

/** Every frame as RGB, by the file's own colour tags unless told otherwise. */
function decode(path: string, scale = "scale=sws_flags=accurate_rnd+full_chroma_int"): Buffer {
  const output = ["-vf", scale, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
  return execFileSync("ffmpeg", ["-v", "error", "-i", path, ...output], { maxBuffer: 1 << 28 });
}

/** Peak signal-to-noise ratio in dB of 8-bit samples. */
function psnr(actual: Uint8Array, expected: Uint8Array): number {
  expect(actual.length).toBe(expected.length);
  let sum = 0;
  for (let index = 0; index < actual.length; index++) sum += (actual[index]! - expected[index]!) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / actual.length));
}

describe.skipIf(reason !== "")("files in ffmpeg", () => {
  const codecs = { mp4: ["h264", "Baseline"], webm: ["vp9", "Profile 0"] } as const;
  const rates = [
    [16, "16/1", 0.75],
    [24000 / 1001, "24000/1001", (12 * 1001) / 24000],
    [7.5, "15/2", 1.6],
  ] as const;

  for (const extension of ["mp4", "webm"] as const) {
    it.each(rates)(
      `.${extension} at %f frames per second has the right stream`,
      async (fps, rate, seconds) => {
        const { path } = await write(`rate-${seconds}.${extension}`, 96, 64, 12, fps);
        const { streams, format } = probe(path);
        expect(streams).toHaveLength(1);
        expect(streams[0]).toMatchObject({
          codec_name: codecs[extension][0],
          profile: codecs[extension][1],
          width: 96,
          height: 64,
          pix_fmt: "yuv420p",
          color_range: "tv",
          color_space: "bt709",
          color_primaries: "bt709",
          color_transfer: "bt709",
          r_frame_rate: rate,
          avg_frame_rate: rate,
          nb_read_frames: "12",
        });
        // WebM rounds the last frame's start and its length to milliseconds: together 1 ms at most.
        expect(Math.abs(Math.round((Number(format.duration) - seconds) * 1000))).toBeLessThanOrEqual(1);
      },
    );

    it(`.${extension} decodes to the frames of the PNG dump within codec loss`, async () => {
      const { path } = await write(`scene.${extension}`, 192, 128, 6, 16);
      const dump = await write(`scene-${extension}`, 192, 128, 6, 16);
      const size = 192 * 128 * 3;
      const decoded = decode(path);
      expect(decoded.length).toBe(6 * size);
      // A decoder told that the matrix is BT.601, or that the range is full, as wrong or missing tags would.
      const wrong = ["in_color_matrix=bt601", "in_range=full"].map((option) =>
        decode(path, `scale=${option}:sws_flags=accurate_rnd+full_chroma_int`),
      );
      for (let index = 0; index < 6; index++) {
        const png = await decodePng(readFileSync(join(dump.path, `frame-0000${index}.png`)));
        const expected = png.frames[0]!;
        expect(expected).toEqual(scene(192, 128, index));
        const part = (bytes: Buffer) => psnr(bytes.subarray(index * size, (index + 1) * size), expected);
        // Quantiser 20 of H.264 is a step of 6.5: an error of 6.5 squared / 12 a sample, 42.7 dB, of which turning
        // chroma back into RGB (up to 1.86 times) costs some. VP9 at level 18 is finer. Wrong tags: 28 to 30 dB.
        expect(part(decoded)).toBeGreaterThan(40);
        for (const bytes of wrong) expect(part(bytes)).toBeLessThan(32);
      }
    });

    it(`.${extension} carries title and settings`, async () => {
      const { path } = await write(`tags.${extension}`, 32, 32, 2, 16);
      const tags = Object.entries(probe(path).format.tags);
      // Matroska names the level a tag is about: MOVIE/TITLE.
      const tag = (name: string) =>
        tags.find(([key]) => key.toLowerCase().replace("movie/", "") === name)?.[1];
      expect(tag("title")).toBe('Ein "Fuchs" läuft, 雪');
      expect(JSON.parse(tag("comment")!)).toEqual({ seed: 42, model: "tiny", lvsa: { window: 3 } });
    });

    it(`.${extension} works with one frame and is padded by its edge from odd sizes`, async () => {
      const { path, notes } = await write(`odd.${extension}`, 33, 17, 1, 16);
      expect(notes).toEqual([`33x17 was padded to 34x18: .${extension} video needs even sides`]);
      expect(probe(path).streams[0]).toMatchObject({ width: 34, height: 18, nb_read_frames: "1" });
      const decoded = decode(path);
      const last = 33 * 3;
      for (let row = 0; row < 18; row++) {
        for (let channel = 0; channel < 3; channel++) {
          const inner = decoded[row * 34 * 3 + last - 3 + channel]!;
          const edge = decoded[row * 34 * 3 + last + channel]!;
          // Equal pixels before compression; the codec moves each by a few levels.
          expect(Math.abs(edge - inner)).toBeLessThanOrEqual(8);
        }
      }
    });
  }

  it("reads the animated PNG exactly, at its rate", async () => {
    const { path } = await write("clip.png", 33, 17, 3, 12.5);
    expect(probe(path).streams[0]).toMatchObject({
      codec_name: "apng",
      width: 33,
      height: 17,
      r_frame_rate: "25/2",
      nb_read_frames: "3",
    });
    const expected = Buffer.concat([0, 1, 2].map((index) => scene(33, 17, index)));
    expect(decode(path).equals(expected)).toBe(true);
  });

  it("reads the GIF in its size, near the frames", async () => {
    const { path } = await write("clip.gif", 97, 63, 8, 16);
    const { streams, format } = probe(path);
    expect(streams[0]).toMatchObject({ codec_name: "gif", width: 97, height: 63, nb_read_frames: "8" });
    expect(Number(format.duration)).toBe(0.5);
    expect(JSON.parse(format.tags.comment!)).toMatchObject({ settings: { seed: 42 } });
    const expected = Buffer.concat(Array.from({ length: 8 }, (_, index) => scene(97, 63, index)));
    // The scene fills a box of about 240 x 200 x 180 levels: 256 colours spread evenly in it are 32 apart, which is an
    // error of 32 squared / 12, 28.8 dB. A chosen palette must do better.
    expect(psnr(decode(path), expected)).toBeGreaterThan(28.8);
  });
});
