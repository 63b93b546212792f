/** Options of videos: misspelt ones are refused, also beside what a generation's result has; nothing is written then. */
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { encodeVideo, encodeVideoTo } from "../encode.js";
import { readVideo } from "./read-video.js";
import { checkVideoOutput, writeVideo } from "./write-video.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-options-"));
const clip = () => ({
  ...{ frames: [new Uint8Array(32 * 32 * 3)], frameCount: 1, width: 32, height: 32, fps: 8 },
  // What a generation's result has besides.
  ...{ latents: {}, seed: 1n, settings: {}, notes: [], stepCache: undefined, numFrames: 1, dispose() {} },
});
const encoding = "frames frameCount width height fps signal metadata quality mp4 backends".split(" ");
const path = join(folder, "a.png");

it.each([
  ["writeVideo", [...encoding, "overwrite"], (o: never) => writeVideo(path, o), clip()],
  ["encodeVideo", [...encoding, "format"], encodeVideo, { ...clip(), format: "png" }],
  ["encodeVideoTo", encoding, (o: never) => encodeVideoTo({ write() {} }, o), { ...clip(), format: "png" }],
  ["its metadata", ["title", "settings"], (metadata: never) => writeVideo(path, { ...clip(), metadata }), {}],
  ["checkVideoOutput", ["overwrite", "backends"], (o: never) => checkVideoOutput(path, o), {}],
  ["readVideo", ["ffmpeg", "signal"], (o: never) => readVideo(path, o), {}],
])("%s refuses misspelt options", async (_, names, call, right) => {
  expect(await silentlyMisspelt({ names, call, right })).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
});

it.each([
  [{ overwrite: "no" }, "overwrite: expected true or false"],
  [{ metadata: "a cat" }, "metadata: expected an object"],
  [{ metadata: { title: 1 } }, "title: expected a text"],
  [{ backends: {} }, "backends: expected a list"],
  [{ format: "webm" }, "format: the extension of the path says it"],
])("writeVideo refuses %j", async (wrong, message) => {
  await expect(writeVideo(path, { ...clip(), ...wrong } as never)).rejects.toMatchObject({ message });
});

it("writes with right options and a result's other fields", async () => {
  const options = { ...clip(), overwrite: false, metadata: { title: "a", settings: {} }, signal: undefined };
  expect((await writeVideo(join(folder, "right.png"), options as never)).format).toBe("png");
  expect((await readVideo(join(folder, "right.png"), {})).count).toBe(1);
});
