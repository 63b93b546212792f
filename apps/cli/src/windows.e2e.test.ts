/** `lvsa generate` in windows as a process: prompts from a file, sparse attention inside windows, what files state. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DEVICE, events, runCli, TINY } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-windows-"));
afterAll(() => rm(folder, { recursive: true }));

test("a clip of three windows has two prompts, is sparse in each window, and grows as an mp4", async () => {
  const prompts = join(folder, "prompts.json");
  const segments = [
    { from_frame: 0, prompt: "a red star" },
    { from_frame: 32, prompt: "a blue ball" },
  ];
  await writeFile(prompts, JSON.stringify(segments));
  const output = join(folder, "clip.mp4");
  const { code, stdout, stderr } = await runCli([
    ...[
      "generate",
      ...DEVICE,
      "--model",
      TINY,
      "--json",
      "--prompts",
      prompts,
      "--output",
      output,
      "--mp4",
      "fragmented",
      "--preview",
      "png",
    ],
    ...["--num-frames", "49", "--window-frames", "25", "--window-overlap", "12"],
    ...["--height", "32", "--width", "48", "--steps", "1", "--seed", "1"],
    ...["--lvsa", "--window-size", "4", "--n-first-frames", "4"],
  ]);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("Previews:");
  expect(stdout).not.toContain("warning");
  expect((await readdir(folder)).sort()).toEqual(["clip.mp4", "clip.mp4.json", "prompts.json"]);
  const all = events(stdout);
  expect(JSON.stringify(all)).toContain("49 frames (in windows of 25: 7 latent x");
  const result = all.find(({ event }) => event === "result")!;
  expect(result).toMatchObject({
    frames: 49,
    settings: {
      ...{
        prompt: null,
        prompts: JSON.stringify(segments),
        window_frames: 25,
        window_overlap: 12,
        windows: 3,
      },
      lvsa: { latent_frames: 7 },
    },
  });
  const sidecar = JSON.parse(await readFile(`${output}.json`, "utf8"));
  expect(sidecar).toMatchObject({ title: "a red star a blue ball", video: { frames: 49 } });
  expect((await readFile(output)).toString("latin1")).toContain("moof");
});
