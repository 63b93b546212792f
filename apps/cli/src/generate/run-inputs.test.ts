import { cp, mkdtemp, open, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { afterAll, expect, it } from "vitest";
import { addGenerateOptions, parseGenerateOptions } from "../options/generate-options.js";
import { requireSameInputs, runInputs } from "./run-inputs.js";

const TINY = fileURLToPath(new URL("../../../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-inputs-"));
afterAll(() => rm(folder, { recursive: true }));
const path = (name: string) => join(folder, name);

function inputsOf(...args: string[]) {
  const command = addGenerateOptions(new Command().exitOverride());
  return runInputs(parseGenerateOptions(command.parse(args, { from: "user" }).opts()));
}

/** Changes bytes of a file, and not its size or its time. */
async function touch(file: string, at: number, text = "x") {
  const { atime, mtime } = await stat(file);
  const handle = await open(file, "r+");
  await handle.write(text, at);
  await handle.utimes(atime, mtime);
  await handle.close();
}

it("names every file that shapes the picture, and notices when one is another", async () => {
  const model = path("model");
  await cp(TINY, model, { recursive: true });
  for (const name of [
    "a.safetensors",
    "b.safetensors",
    "first.png",
    "last.png",
    "noise.safetensors",
    "r.json",
  ])
    await writeFile(path(name), name.repeat(100));
  const args = [
    ...[
      "--model",
      model,
      "--prompt",
      "x",
      "--lora",
      path("a.safetensors"),
      "--lora",
      `${path("b.safetensors")}:0.5`,
    ],
    ...["--lora-2", path("a.safetensors"), "--image", path("first.png"), "--last-image", path("last.png")],
    ...[
      "--initial-latents",
      path("noise.safetensors"),
      "--step-cache",
      "magcache",
      "--mag-ratios",
      path("r.json"),
    ],
  ];
  const before = await inputsOf(...args);
  expect(Object.keys(before)).toEqual(
    expect.arrayContaining([
      ...["--model model_index.json", "--model transformer/diffusion_pytorch_model.safetensors"],
      ...["--model scheduler/scheduler_config.json", "--lora 1", "--lora 2", "--lora-2 1"],
      ...["--image", "--last-image", "--initial-latents", "--mag-ratios"],
    ]),
  );
  const tokenizer = Object.keys(before).find((name) => name.startsWith("--model tokenizer/"));
  expect(tokenizer).toBeDefined();
  requireSameInputs(before, await inputsOf(...args));
  // One that is elsewhere now is the same one, and what came beside it changes nothing.
  await cp(model, path("moved"), { recursive: true });
  await writeFile(path("moved/README.txt"), "new");
  const moved = args.map((arg) => (arg === model ? path("moved") : arg));
  requireSameInputs(before, await inputsOf(...moved));

  await touch(path("b.safetensors"), 3);
  await touch(path("last.png"), 3);
  const changed = await inputsOf(...args);
  expect(() => requireSameInputs(before, changed)).toThrow(
    expect.objectContaining({
      code: "RUN_CHANGED",
      isUsage: true,
      message: expect.stringMatching(/began with: --lora 2, --last-image$/),
    }),
  );
  const fewer = await inputsOf(...args.slice(0, 4));
  expect(() => requireSameInputs(before, fewer)).toThrow(/--lora 1 \(not there\)/);
  await rm(path("first.png"));
  await expect(inputsOf(...args)).rejects.toMatchObject({ code: "NOT_FOUND" });
});

it("notices other numbers in a large file without reading all of it", async () => {
  const file = path("large.safetensors");
  await writeFile(file, new Uint8Array(3 * 2 ** 20));
  const args = ["--transformer", file, "--prompt", "x"];
  const before = await inputsOf(...args);
  expect(Object.keys(before)).toEqual(["--transformer"]);
  // Another training changes all of the numbers; these are a few of them.
  for (let at = 50; at < 3 * 2 ** 20; at += 30_000) await touch(file, at);
  expect(() => requireSameInputs(before, before)).not.toThrow();
  const now = await inputsOf(...args);
  expect(() => requireSameInputs(before, now)).toThrow("--transformer");
});
