/** A plan is of the run that the same options make: attention, storage, device and memory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DEVICE, events, runCli, TINY } from "../testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-defaults-"));
afterAll(() => rm(folder, { recursive: true }));

test.each<[string, string[]]>([
  ["nothing", []],
  ["--lvsa", ["--lvsa"]],
  ["--math and --precision", ["--precision", "f32", "--math", "exact", "--guidance", "1"]],
])("with %s", async (_name, given) => {
  // Attention of the demo clip is sparse beyond the training length only.
  const clip = ["--model", TINY, ...DEVICE, "--num-frames", "9", "--height", "32", "--width", "48"];
  const output = ["--prompt", "x", "--steps", "1", "--output-latent", join(folder, "x.safetensors")];
  const [plan, run] = await Promise.all([
    runCli(["plan", ...clip, ...given, "--json"]),
    runCli(["generate", ...clip, ...given, ...output, "--overwrite", "--json"]),
  ]);
  expect([plan!.code, run!.code], plan!.stderr + run!.stderr).toEqual([0, 0]);
  const planned = JSON.parse(plan!.stdout) as Record<string, unknown> & { memory: { peak_bytes: number } };
  const heard = events(run!.stdout);
  const { settings } = heard.find(({ event }) => event === "result") as { settings: Record<string, unknown> };
  expect(planned.device).toBe(settings.device);
  expect(planned.attention).toBe(settings.lvsa === null ? "dense" : "lvsa");
  const begin = heard.find(({ line }) => String(line).includes("of GPU memory"))!;
  const text = await runCli(["plan", ...clip, ...given]);
  const peak = /\(peak\) +(\S+ \S+)/.exec(text.stdout)![1]!;
  expect(String(begin.line)).toContain(`about ${peak} of GPU memory`);
});

test("the checkpoint's own frames, size, steps and guidance are those of both", async () => {
  const { stdout } = await runCli(["plan", TINY, "--device", "none", "--json"]);
  const planned = JSON.parse(stdout) as Record<string, unknown>;
  // Not run: this size takes minutes. What would run is said before the first step.
  expect(planned).toMatchObject({ precision: "f16", attention: "dense", steps: 50, forwards_per_step: 2 });
});
