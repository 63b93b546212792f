import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { main } from "./wan-generate.js";

const checkpoint = fileURLToPath(new URL("../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-example-"));
afterAll(() => rm(folder, { recursive: true }));

test("the example writes a video with its settings beside it", async () => {
  const options = { prompt: "A cat.", numFrames: 9, height: 32, width: 48, numInferenceSteps: 2, seed: 1 };
  const path = await main(
    checkpoint,
    join(folder, "cat.mp4"),
    { ...options, maxSequenceLength: 16 },
    {
      adapter: process.env.LVSA_TEST_ADAPTER || "auto",
    },
  );
  expect((await stat(path)).size).toBeGreaterThan(500);
  const sidecar = JSON.parse(await readFile(`${path}.json`, "utf8")) as Record<string, unknown>;
  expect(sidecar).toMatchObject({
    title: "A cat.",
    settings: { seed: 1, num_frames: 9 },
    video: { frames: 9 },
  });
});

test("stays within 40 lines", async () => {
  const source = await readFile(new URL("wan-generate.ts", import.meta.url), "utf8");
  expect(source.trimEnd().split("\n").length).toBeLessThanOrEqual(40);
});
