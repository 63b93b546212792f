/** `lvsa generate --image` as a process: what files state of a picture, and what is wrong with pictures. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodePng } from "@lvsa/video";
import { afterAll, expect, test } from "vitest";
import { DEVICE, events, runCli } from "./testing/run-cli.js";

const CHECKPOINT = fileURLToPath(
  new URL("../../../fixtures/reference/wan/wan21-i2v-clip/checkpoint", import.meta.url),
);
const folder = await mkdtemp(join(tmpdir(), "lvsa-image-run-"));
afterAll(() => rm(folder, { recursive: true }));

const SMALL = ["--num-frames", "5", "--height", "32", "--width", "48", "--steps", "1", "--guidance", "1"];
const generate = (...options: string[]) =>
  runCli(["generate", "--model", CHECKPOINT, ...DEVICE, "--prompt", "a", ...SMALL, ...options]);

test("a run states the picture's name and checksum, never its folder, and that it was stretched", async () => {
  const picture = join(folder, "wide harbour.png");
  const grey = Uint8Array.from({ length: 90 * 30 * 3 }, (_, i) => i & 255);
  await writeFile(picture, await encodePng(grey, 90, 30));
  const latents = join(folder, "out.safetensors");
  const { code, stdout, stderr } = await generate("--json", "--image", picture, "--output-latent", latents);
  expect(code, stderr).toBe(0);
  const all = events(stdout);
  const result = all.find((event) => event.settings !== undefined)!;
  expect(result.settings).toMatchObject({
    image: "wide harbour.png",
    image_sha256: createHash("sha256")
      .update(await readFile(picture))
      .digest("hex"),
  });
  expect(JSON.stringify(result.settings)).not.toContain(folder);
  expect(stdout + stderr).toContain("The image of 90x30 was stretched to 48x32");
});

test("says what is wrong with pictures before a device is opened", async () => {
  const clear = join(folder, "text.png");
  await writeFile(clear, "no picture");
  const [missing, damaged, none, alone] = await Promise.all([
    generate("--image", join(folder, "missing.png")),
    generate("--image", clear),
    generate(),
    generate("--last-image", clear),
  ]);
  expect(missing!.stderr).toContain("there is no such image file");
  expect(damaged!.stderr).toContain("neither PNG nor JPEG");
  expect([missing!.code, damaged!.code]).toEqual([2, 2]);
  expect(none!.stderr).toContain("makes a video from an image");
  expect(none!.code).toBe(2);
  expect(alone!.stderr).toContain("--image is needed too");
  expect(alone!.code).toBe(2);
});

test("inspect and plan say that the checkpoint begins with a picture", async () => {
  const [inspect, plan] = await Promise.all([
    runCli(["inspect", CHECKPOINT]),
    runCli(["plan", CHECKPOINT, "--num-frames", "9", "--height", "32", "--width", "48"]),
  ]);
  expect(inspect!.stdout).toMatch(/WanImageToVideoPipeline {2}image-to-video/);
  expect(plan!.stdout).toContain("image-to-video");
  expect(plan!.stdout).toContain("image encoding");
  expect(plan!.stdout).toContain("image_encoder");
});
