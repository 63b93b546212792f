/** An MP4 while it grows: what a process that is killed leaves, as Debian's ffprobe sees it. */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Mp4Layout } from "../mp4.js";
import { removeStalePartials } from "./partial-path.js";
import { writeVideo } from "./write-video.js";

const isMissing = spawnSync("ffprobe", ["-version"]).status !== 0;
it("has ffprobe to test with", ({ skip }) => {
  if (!isMissing) return;
  if (process.env.CI) throw new Error("ffprobe not found: install Debian's ffmpeg");
  skip("growing video files are not checked: ffprobe not found, install Debian's ffmpeg");
});

const folder = mkdtempSync(join(tmpdir(), "lvsa-growing-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 32;
/** Frames of two seconds, which the encoder holds. */
const group = (fps: number) => Math.round(fps * 2);
const picture = (index: number) =>
  Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, at) => (at * 7 + index * index * 13) & 255);

interface Probe {
  readonly streams: readonly [
    { readonly nb_read_frames: string; readonly r_frame_rate: string; readonly duration: string },
  ];
  readonly format: { readonly duration: string; readonly tags: Readonly<Record<string, string>> };
}

function probe(path: string): Probe {
  const show = ["-count_frames", "-show_streams", "-show_format", "-of", "json"];
  return JSON.parse(execFileSync("ffprobe", ["-v", "error", ...show, path], { encoding: "utf8" }));
}

/** Names of the boxes of a file, from the first to the last. */
function boxes(path: string): string[] {
  const bytes = readFileSync(path);
  const names: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at) || bytes.length) {
    names.push(bytes.toString("latin1", at + 4, at + 8));
  }
  return names;
}

const growing = () => readdirSync(folder).find((name) => name.endsWith(".partial.mp4"));

/** Writes a clip; `look` hears the growing file before each frame. */
async function write(
  name: string,
  frameCount: number,
  fps: number,
  mp4: Mp4Layout | undefined,
  look: (path: string, made: number) => void = () => {},
) {
  function* frames() {
    for (let index = 0; index < frameCount; index++) {
      look(join(folder, growing()!), index);
      yield picture(index);
    }
  }
  const size = { width: SIZE, height: SIZE, frameCount, fps };
  const metadata = { title: "a fox", settings: { seed: 42 } };
  return writeVideo(join(folder, name), { frames: frames(), ...size, metadata, ...(mp4 ? { mp4 } : {}) });
}

describe.skipIf(isMissing)("an mp4", () => {
  it.each([
    ["fragmented", 16, "16/1"],
    ["fragmented", 24000 / 1001, "24000/1001"],
    ["fast-start", 16, "16/1"],
    ["fast-start", 24000 / 1001, "24000/1001"],
    [undefined, 7.5, "15/2"],
  ] as const)("%s at %f frames per second is whole", async (mp4, fps, rate) => {
    // Not a whole number of groups, and one that is; the last group may be one frame.
    for (const count of [1, group(fps), 2 * group(fps) + 1]) {
      const { path } = await write(`whole-${mp4}-${count}.mp4`, count, fps, mp4);
      const { streams, format } = probe(path);
      expect(streams[0]).toMatchObject({ nb_read_frames: String(count) });
      // One frame tells no rate.
      if (count > 1) expect(streams[0].r_frame_rate).toBe(rate);
      // The muxer's clock of a whole file has 57,600 ticks a second.
      expect(Math.abs(Number(format.duration) - count / fps)).toBeLessThan(1 / 57_600);
      expect(format.tags).toMatchObject({ title: "a fox", comment: '{"seed":42}' });
      expect(boxes(path).includes("moof")).toBe(mp4 === "fragmented");
      const order = boxes(path);
      expect(order.indexOf("moov")).toBeLessThan(order.indexOf("mdat"));
    }
    expect(growing()).toBeUndefined();
  });

  it.each(["fragmented", "fast-start"] as const)("%s plays as far as it is written", async (mp4) => {
    const fps = 4;
    const seen: { made: number; frames: number }[] = [];
    await write(`clip-${mp4}.mp4`, 41, fps, mp4, (path, made) => {
      if (made % 5 !== 0 || made < 2 * group(fps)) return;
      // What a kill at this moment leaves.
      const copy = join(folder, "killed.mp4");
      copyFileSync(path, copy);
      seen.push({ made, frames: Number(probe(copy).streams[0].nb_read_frames) });
    });
    expect(seen.map(({ made }) => made)).toEqual([20, 25, 30, 35, 40]);
    for (const { made, frames } of seen) {
      expect(frames).toBeLessThanOrEqual(made);
      // The encoder holds a group, the container a fragment.
      expect(frames).toBeGreaterThan(made - 2 * group(fps));
    }
  });

  it("hands its bytes on as frames are made, however long the clip", async () => {
    const waiting: number[] = [];
    let before = 0;
    let since = 0;
    await write("long.mp4", 400, 2, "fast-start", (path) => {
      const { size } = statSync(path);
      since = size === before ? since + 1 : 0;
      before = size;
      waiting.push(since);
    });
    // Two groups of pictures wait at most, from the first frame to the last.
    expect(Math.max(...waiting)).toBeLessThanOrEqual(2 * group(2));
    expect(probe(join(folder, "long.mp4")).streams[0].nb_read_frames).toBe("400");
  });

  it("left by a process that is no more goes with the next run", async () => {
    const path = join(folder, "fox.mp4");
    const left = join(folder, ".fox.mp4.4194304-0123abcd.partial.mp4");
    copyFileSync(join(folder, "long.mp4"), left);
    // Of a state that is kept beside it, too; not of one that is being written, nor of another output.
    const state = ".fox.mp4.state.safetensors.4194304-0123abcd.partial";
    const others = [
      `.fox.mp4.state.safetensors.${process.pid}-0123abcd.partial`,
      ".fox.mp.4194304-0123abcd.partial",
    ];
    for (const name of [state, ...others]) copyFileSync(left, join(folder, name));
    await removeStalePartials(path);
    const names = readdirSync(folder).filter((name) => name.startsWith("."));
    expect(names.sort()).toEqual([...others].sort());
    for (const name of others) rmSync(join(folder, name));
  });

  it("says what a layout has no effect on, and refuses one that is none", async () => {
    const { notes } = await writeVideo(join(folder, "a.gif"), {
      ...{ frames: [picture(0)], width: SIZE, height: SIZE, frameCount: 1, fps: 4 },
      mp4: "fragmented",
    });
    expect(notes.join()).toMatch(/mp4: "fragmented" has no effect on a \.gif/);
    await expect(write("b.mp4", 1, 4, "flat" as Mp4Layout)).rejects.toMatchObject({ code: "VIDEO_OPTIONS" });
    expect(readdirSync(folder)).not.toContain("b.mp4");
  });
});
