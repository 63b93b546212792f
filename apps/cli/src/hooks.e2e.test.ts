/** `LVSA_WAN_HOOK=1 lvsa generate` is `lvsa generate --lvsa`, and without the variable it is dense. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { floatTensor, readSafetensors } from "@lvsa/runtime/testing";
import { afterAll, expect, test } from "vitest";
import { DEVICE, runCli, TINY } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-hooks-"));
afterAll(() => rm(folder, { recursive: true }));

/** 10 latent frames on a model trained on 5, in the tiny checkpoint. */
const CLIP = [
  ...["--model", TINY, "--prompt", "A fox.", "--num-frames", "37", "--height", "32", "--width", "48"],
  ...["--steps", "2", "--seed", "5"],
];

async function run(name: string, args: readonly string[], env: Record<string, string>) {
  const file = join(folder, `${name}.safetensors`);
  const all = [
    "generate",
    ...DEVICE,
    ...CLIP,
    "--max-sequence-length",
    "16",
    "--output-latent",
    file,
    ...args,
  ];
  const { code, stdout, stderr } = await runCli(all, { env });
  expect(code, stderr).toBe(0);
  const { data } = floatTensor(await readSafetensors(file), "latents");
  return { data, stdout, stderr };
}

test("the variable equals --lvsa with the same settings, bit for bit; without it everything is dense", async () => {
  const settings = ["--window-size", "4", "--n-first-frames", "4", "--reference-latent-frames", "5"];
  const byOption = await run("option", ["--lvsa", ...settings], {});
  const byVariable = await run("variable", [], {
    LVSA_WAN_HOOK: "1",
    LVSA_WINDOW_SIZE: "4",
    LVSA_N_FIRST_FRAMES: "4",
    LVSA_REFERENCE_LATENT_FRAMES: "5",
  });
  const dense = await run("dense", [], {});
  const off = await run("off", [], { LVSA_WAN_HOOK: "0", LVSA_WINDOW_SIZE: "4" });
  expect(byVariable.data).toEqual(byOption.data);
  expect(byVariable.stdout).toMatch(/\[LVSA\] engaged \(wan\): T_lat=10 P=6 seq_len=60 .* -> SPARSE/);
  expect(byVariable.data).not.toEqual(dense.data);
  expect(off.data).toEqual(dense.data);
  expect(dense.stdout).toContain("[attn] using standard full attention (no LVSA)");
});

test("--lvsa wins over variables and says so", async () => {
  const both = await run("both", ["--lvsa"], { LVSA_WAN_HOOK: "1", LVSA_WINDOW_SIZE: "0" });
  expect(both.stderr).toContain("--lvsa is given, and options win");
  expect(both.data).toEqual((await run("alone", ["--lvsa"], {})).data);
});

test("a bad variable ends the run before a model is loaded", async () => {
  const { code, stderr } = await runCli(["generate", ...DEVICE, ...CLIP], {
    env: { LVSA_WAN_HOOK: "1", LVSA_SPARSITY_SCALE: "dense" },
  });
  expect(code).toBe(2);
  expect(stderr).toContain('LVSA_SPARSITY_SCALE is "dense"; expected a number of at least 0');
});
