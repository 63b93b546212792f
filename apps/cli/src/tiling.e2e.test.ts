/** `lvsa generate` and `decode` in tiles as processes: what files and lines state. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { DEVICE, events, runCli } from "./testing/run-cli.js";
import { tinyRuns } from "./testing/tiny-runs.js";

const runs = await tinyRuns("tiling");
const TILES = ["--vae-tile-size", "32x16", "--vae-tile-stride", "16x8"];

test("a clip in tiles says so, and its latents decode in the same tiles", async () => {
  const output = runs.path("clip.png");
  const latents = runs.path("clip.latents.safetensors");
  const made = await runs.generate(
    ...["--json", "--seed", "1", ...TILES, "--output", output, "--output-latent", latents],
  );
  expect(made.code, made.stderr).toBe(0);
  const result = events(made.stdout).find(({ event }) => event === "result")!;
  const vae_tiling = "32x16, stride 16x8";
  expect(result).toMatchObject({ frames: 9, settings: { vae_tiling } });
  expect(made.stdout).not.toContain("no effect");
  const bytes = await readFile(output);
  // The text chunk of the picture.
  expect(bytes.includes("vae_tiling")).toBe(true);

  // Nobody says which: those of the run.
  const again = runs.path("again.png");
  const decoded = await runCli(["decode", ...DEVICE, latents, "--json", "--output", again]);
  expect(decoded.code, decoded.stderr).toBe(0);
  expect(events(decoded.stdout).find(({ event }) => event === "result")).toMatchObject({
    settings: { vae_tiling },
  });
  expect(pixels(await readFile(again))).toEqual(pixels(bytes));

  const whole = runs.path("whole.png");
  const plain = await runCli(["decode", ...DEVICE, latents, "--vae-tiling", "--output", whole]);
  expect(plain.code, plain.stderr).toBe(0);
  expect(plain.stderr).toContain("--vae-tiling had no effect: frames of 48x32 fit a tile of 256x256.");
  expect(pixels(await readFile(whole))).not.toEqual(pixels(bytes));
});

test("sizes that are no whole latent cells are refused by the names that were typed", async () => {
  const { code, stderr } = await runs.generate("--vae-tile-size", "100", "--output", runs.path("no.png"));
  expect(code).toBe(2);
  expect(stderr).toMatch(/--vae-tiling: --vae-tile-size \(height\) is 100.*8 pixels/);
  expect(stderr).toContain("Use 96 or 104.");
});

/** Chunks of a PNG that hold pixels. */
function pixels(png: Buffer): string[] {
  const found: string[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    if (type === "IDAT" || type === "fdAT") found.push(png.toString("base64", at + 8, at + 8 + length));
    at += length + 12;
  }
  return found;
}
