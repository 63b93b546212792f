/** Title and settings as other programs read them, however long or odd, and the clip beside them: Debian's ffprobe. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { writeVideo } from "./write-video.js";

const isMissing = spawnSync("ffprobe", ["-version"]).status !== 0;
it("has ffprobe to test with", ({ skip }) => {
  if (!isMissing) return;
  if (process.env.CI) throw new Error("ffprobe not found: install Debian's ffmpeg");
  skip("the metadata of video files are not checked: ffprobe not found, install Debian's ffmpeg");
});

const folder = mkdtempSync(join(tmpdir(), "lvsa-metadata-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const titles = {
  short: "harbour at dawn",
  extended: "A harbour at dawn, ".repeat(60).trim(),
  long: "A harbour at dawn, ".repeat(2500).trim(),
  longer: "雪の港、".repeat(60_000),
  odd: "tab\there; line\nbreak; quotes \"x\" 'y' \\ back; 猫 🐱 é; key=value; #hash; MOVIE/TITLE",
  control: "before\u0001after\u007f",
  empty: "",
};

interface Seen {
  readonly frames: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** What FFmpeg sees: number of frames, and the tags of file and stream with small letters. */
function probe(path: string): Seen {
  const show = ["-count_frames", "-show_streams", "-show_format", "-of", "json"];
  const out = execFileSync("ffprobe", ["-v", "error", ...show, path], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const { streams, format } = JSON.parse(out) as {
    streams: { nb_read_frames: string; tags?: Record<string, string> }[];
    format: { tags?: Record<string, string> };
  };
  const tags = Object.entries({ ...format.tags, ...streams[0]?.tags });
  return {
    frames: Number(streams[0]?.nb_read_frames),
    tags: Object.fromEntries(tags.map(([name, text]) => [name.toLowerCase(), text])),
  };
}

describe.skipIf(isMissing)("metadata", () => {
  describe.each(["mp4", "webm", "gif", "png"])("in .%s", (extension) => {
    it.each(Object.entries(titles))("%s title", async (name, title) => {
      const [width, height, frameCount, fps] = [32, 32, 5, 8];
      const path = join(folder, `${name}.${extension}`);
      const frames = Array.from({ length: frameCount }, (_, i) =>
        new Uint8Array(width * height * 3).fill(40 * i),
      );
      const settings = { prompt: title, seed: 42 };
      await writeVideo(path, { frames, width, height, frameCount, fps, metadata: { title, settings } });
      const { frames: count, tags } = probe(path);
      expect(count).toBe(frameCount);
      const sidecar = JSON.parse(readFileSync(`${path}.json`, "utf8")) as {
        title: string;
        settings: unknown;
      };
      expect(sidecar).toMatchObject({ title, settings });
      // A GIF has one comment for both.
      if (extension === "gif") expect(JSON.parse(tags.comment!)).toEqual({ title, settings });
      // FFmpeg's reader of animated PNG does not show texts: png.test.ts reads them from the bytes.
      else if (extension !== "png") {
        expect(tags.title).toBe(title);
        expect(JSON.parse(tags.comment!)).toEqual(settings);
      }
    });
  });

  it("a title with a character 0 does not end there", async () => {
    for (const extension of ["mp4", "webm"]) {
      const path = join(folder, `nul.${extension}`);
      const frames = [new Uint8Array(32 * 32 * 3)];
      const metadata = { title: "before\0after", settings: { prompt: "before\0after" } };
      await writeVideo(path, { frames, width: 32, height: 32, frameCount: 1, fps: 8, metadata });
      const { tags } = probe(path);
      expect(tags.title, extension).toBe("before\ufffdafter");
      expect(JSON.parse(tags.comment!), extension).toEqual(metadata.settings);
    }
  });
});
