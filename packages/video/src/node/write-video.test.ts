import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decodePng } from "../read-png.js";
import { removeStalePartials } from "./partial-path.js";
import { nodeVideoBackends } from "./video-backends.js";
import { checkVideoOutput, type WriteVideoOptions, writeVideo } from "./write-video.js";

/** Handlers that could end the process; counted before the first encoder is loaded. */
const handlers = () => [
  process.listenerCount("uncaughtException"),
  process.listenerCount("unhandledRejection"),
];
const handlersAtStart = handlers();

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-video-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const picture = (index: number) =>
  Uint8Array.from({ length: 6 * 4 * 3 }, (_, at) => (at * 5 + index * 50) & 255);

const clip = (count: number, changes: Partial<WriteVideoOptions> = {}): WriteVideoOptions => ({
  frames: Array.from({ length: count }, (_, index) => picture(index)),
  width: 6,
  height: 4,
  frameCount: count,
  fps: 16,
  ...changes,
});

const EXTENSIONS = ["mp4", "webm", "gif", "png", "apng"] as const;

describe("writeVideo", () => {
  it.each(EXTENSIONS)("writes a .%s file, its sidecar and nothing else", async (extension) => {
    const settings = { seed: 7, model: "tiny" };
    const path = join(folder, "new", `clip.${extension}`);
    const written = await writeVideo(path, clip(3, { metadata: { title: "a cat", settings } }));
    expect(written).toMatchObject({ path, sidecarPath: `${path}.json` });
    expect((await readdir(join(folder, "new"))).sort()).toEqual([
      `clip.${extension}`,
      `clip.${extension}.json`,
    ]);
    const sidecar = JSON.parse(await readFile(written.sidecarPath, "utf8"));
    expect(sidecar).toMatchObject({
      title: "a cat",
      settings,
      video: { file: `clip.${extension}`, width: 6, height: 4, frames: 3, fps: 16 },
    });
    expect((await readFile(path)).length).toBeGreaterThan(100);
  });

  it("puts the index of an mp4 before its frames", async () => {
    await writeVideo(join(folder, "a.mp4"), clip(3));
    const text = (await readFile(join(folder, "a.mp4"))).toString("latin1");
    expect(text.indexOf("moov")).toBeGreaterThan(0);
    expect(text.indexOf("moov")).toBeLessThan(text.indexOf("mdat"));
  });

  it.each(["frames", "frames/"])("writes %s as a folder of numbered PNG files", async (name) => {
    const written = await writeVideo(join(folder, name), clip(3));
    expect(written).toMatchObject({ format: "folder", sidecarPath: join(folder, "frames.json") });
    const names = await readdir(join(folder, "frames"));
    expect(names.sort()).toEqual(["frame-00000.png", "frame-00001.png", "frame-00002.png"]);
    const second = await decodePng(await readFile(join(folder, "frames", names[1]!)));
    expect(second.frames[0]).toEqual(picture(1));
  });

  it("replaces an earlier run's folder whole, and refuses one with other things in it", async () => {
    await writeVideo(join(folder, "frames"), clip(3));
    await writeVideo(join(folder, "frames"), clip(1));
    expect(await readdir(join(folder, "frames"))).toEqual(["frame-00000.png"]);
    expect((await readdir(folder)).sort()).toEqual(["frames", "frames.json"]);
    await writeFile(join(folder, "frames", "notes.txt"), "mine");
    await expect(writeVideo(join(folder, "frames"), clip(1))).rejects.toMatchObject({
      code: "VIDEO_FOLDER",
      message: expect.stringContaining("notes.txt"),
    });
    expect(await readFile(join(folder, "frames", "notes.txt"), "utf8")).toBe("mine");
  });

  it("takes an existing folder as a folder even when its name has a dot", async () => {
    await mkdir(join(folder, "v1.5"));
    expect((await writeVideo(join(folder, "v1.5"), clip(1))).format).toBe("folder");
  });

  it.each([...EXTENSIONS, "folder"])(
    "leaves the old %s and no half file when a frame fails",
    async (kind) => {
      const name = kind === "folder" ? "clip" : `clip.${kind}`;
      const path = join(folder, name);
      await writeVideo(path, clip(2));
      const before = kind === "folder" ? await readdir(path) : await readFile(path);
      function* broken() {
        yield picture(0);
        throw new Error("decoder broke");
      }
      await expect(writeVideo(path, clip(5, { frames: broken() }))).rejects.toThrow("decoder broke");
      expect((await readdir(folder)).sort()).toEqual([name, `${name}.json`]);
      expect(kind === "folder" ? await readdir(path) : await readFile(path)).toEqual(before);
    },
  );

  it.each([...EXTENSIONS, "folder"])("leaves nothing of a %s after an abort", async (kind) => {
    const controller = new AbortController();
    let asked = 0;
    function* frames() {
      for (;;) {
        if (++asked === 3) controller.abort();
        yield picture(asked);
      }
    }
    const options = clip(50, { frames: frames(), signal: controller.signal });
    const name = kind === "folder" ? "clip" : `clip.${kind}`;
    await expect(writeVideo(join(folder, name), options)).rejects.toMatchObject({ code: "ABORTED" });
    expect(asked).toBe(3);
    expect(await readdir(folder)).toEqual([]);
  });

  it("shows nothing under the final name while it writes", async () => {
    const seen: string[][] = [];
    async function* frames() {
      for (let index = 0; index < 2; index++) {
        seen.push(await readdir(folder));
        yield picture(index);
      }
    }
    await writeVideo(join(folder, "clip.png"), clip(2, { frames: frames() }));
    for (const names of seen) {
      expect(names).toHaveLength(1);
      expect(names[0]).toMatch(/^\.clip\.png\.\d+-[0-9a-f]{8}\.partial$/);
    }
  });

  it("refuses what it can not write before it asks for a frame", async () => {
    let asked = false;
    function* frames() {
      asked = true;
      yield picture(0);
    }
    await writeFile(join(folder, "file"), "");
    await expect(writeVideo(join(folder, "a.avi"), clip(1, { frames: frames() }))).rejects.toMatchObject({
      code: "VIDEO_FORMAT",
      fix: "use one of .mp4, .webm, .gif, .png, .apng",
    });
    await expect(writeVideo(join(folder, "file"), clip(1, { frames: frames() }))).rejects.toThrow(
      "is a file",
    );
    await expect(
      writeVideo(join(folder, "a.webm"), clip(1, { frames: frames(), backends: [] })),
    ).rejects.toMatchObject({ code: "VIDEO_ENCODER" });
    expect(asked).toBe(false);
    expect(await readdir(folder)).toEqual(["file"]);
  });

  it("writes two clips at once without mixing them", async () => {
    const sizes = await Promise.all(
      [1, 9].map(async (count) => {
        await writeVideo(join(folder, `${count}.mp4`), clip(count));
        return (await readFile(join(folder, `${count}.mp4`))).length;
      }),
    );
    await writeVideo(join(folder, "alone.mp4"), clip(9));
    expect(sizes[1]).toBe((await readFile(join(folder, "alone.mp4"))).length);
    expect(sizes[0]).toBeLessThan(sizes[1]!);
  });
});

describe("what is there already", () => {
  it("stays, where it may not be overwritten: files, folders, links", async () => {
    await writeFile(join(folder, "a.png"), "mine");
    await mkdir(join(folder, "frames"));
    await writeFile(join(folder, "frames", "frame-00000.png"), "mine");
    await symlink("nowhere", join(folder, "link.png"));
    const before = (await readdir(folder, { recursive: true })).sort();
    for (const name of ["a.png", "frames", "link.png"]) {
      const path = join(folder, name);
      const refused = { code: "VIDEO_EXISTS", isUsage: true };
      await expect(checkVideoOutput(path, { overwrite: false })).rejects.toMatchObject(refused);
      await expect(writeVideo(path, clip(1, { overwrite: false }))).rejects.toMatchObject(refused);
      await checkVideoOutput(path);
    }
    expect((await readdir(folder, { recursive: true })).sort()).toEqual(before);
    expect(await readFile(join(folder, "a.png"), "utf8")).toBe("mine");
    await mkdir(join(folder, "empty"));
    for (const name of ["b.png", "empty", "new"]) {
      await checkVideoOutput(join(folder, name), { overwrite: false });
      await writeVideo(join(folder, name), clip(1, { overwrite: false }));
    }
  });

  it.each(["frames", "a.png"])(
    "two writers of %s at once: one whole result, nothing beside it",
    async (name) => {
      const path = join(folder, name);
      for (let round = 0; round < 10; round++) {
        const counts = [2, 3, 4, 5];
        await Promise.all(counts.map((count) => writeVideo(path, clip(count))));
        if (name === "frames") expect(counts).toContain((await readdir(path)).length);
        else expect(counts).toContain((await decodePng(new Uint8Array(await readFile(path)))).frames.length);
        expect((await readdir(folder)).sort()).toEqual([name, `${name}.json`].sort());
      }
    },
  );

  it("partial files of processes that are no more are removed, and those of others stay", async () => {
    const path = join(folder, "a.mp4");
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    const names = [`.a.mp4.${dead}-01234567.partial`, `.a.mp4.${dead}-01234567.json.partial`];
    const others = [
      `.a.mp4.${process.pid}-01234567.partial`,
      `.b.mp4.${dead}-01234567.partial`,
      "a.mp4.partial",
    ];
    for (const name of [...names, ...others]) await writeFile(join(folder, name), "");
    await removeStalePartials(path);
    expect((await readdir(folder)).sort()).toEqual([...others].sort());
  });
});

describe("checkVideoOutput", () => {
  it("answers with the format and leaves nothing behind", async () => {
    const formats = await Promise.all(
      ["a.mp4", "a.webm", "a.gif", "a.png", "a"].map((name) => checkVideoOutput(join(folder, name))),
    );
    expect(formats).toEqual(["mp4", "webm", "gif", "png", "folder"]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("refuses what could not be written in the end, and leaves nothing behind", async () => {
    await writeFile(join(folder, "file"), "");
    await mkdir(join(folder, "sidecar.mp4.json"));
    await mkdir(join(folder, "full"));
    await writeFile(join(folder, "full", "note.txt"), "");
    await symlink(join(folder, "nowhere"), join(folder, "dangling"));
    const before = await readdir(folder, { recursive: true });
    const long = "n".repeat(255);
    for (const [path, code] of [
      [join(folder, "file", "a.mp4"), "VIDEO_PATH"],
      [join(folder, "sidecar.mp4"), "VIDEO_PATH"],
      [join(folder, "dangling", "a.mp4"), "VIDEO_PATH"],
      [join(folder, `${long.slice(4)}.mp4`), "VIDEO_PATH"],
      [join(folder, `${long}n`, "a.mp4"), "VIDEO_PATH"],
      ["/proc/a.mp4", "VIDEO_PATH"],
      ["/proc/a/b/c.mp4", "VIDEO_PATH"],
      [join(folder, "full"), "VIDEO_FOLDER"],
    ] as const) {
      await expect(checkVideoOutput(path), path).rejects.toMatchObject({ code, isUsage: true });
    }
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  });

  it("takes names as long as the file system does, of any characters", async () => {
    for (const name of [`${"n".repeat(246)}.png`, `${"🐱".repeat(61)}.png`]) {
      const path = join(folder, name);
      await checkVideoOutput(path);
      await writeVideo(path, clip(1));
      expect((await readFile(path)).length).toBeGreaterThan(0);
    }
    expect(await readdir(folder)).toHaveLength(4);
  });

  it("names the package to install when the encoder is missing", async () => {
    const backends = nodeVideoBackends().map((backend) => ({ ...backend, open: async () => undefined }));
    await expect(checkVideoOutput("a.webm", { backends })).rejects.toMatchObject({
      code: "VIDEO_ENCODER",
      fix: expect.stringContaining("npm install @libav.js/variant-webm-vp9"),
    });
  });
});

describe("the wasm encoders", () => {
  it("leave the process's error handlers alone", async () => {
    for (const backend of nodeVideoBackends()) {
      for (const codec of backend.codecs) {
        const config = { codec, width: 16, height: 16, fps: 16, frameCount: 1, quality: "low" } as const;
        (await backend.open(config))?.close();
      }
    }
    expect(handlers()).toEqual(handlersAtStart);
  });
});
