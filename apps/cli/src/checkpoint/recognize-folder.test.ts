import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encodeSafetensors } from "@lvsa/runtime";
import { afterAll, describe, expect, it } from "vitest";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { openModel } from "./open-model.js";

const root = await mkdtemp(join(tmpdir(), "lvsa-folders-"));
afterAll(() => rm(root, { recursive: true }));

const weights = (name: string) =>
  encodeSafetensors({ [name]: { dtype: "F32", shape: [1], data: new Float32Array(1) } });
let count = 0;
/** A folder with these files. */
async function folder(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const path = join(root, `case-${count++}`);
  await mkdir(path);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    await writeFile(join(path, name), content);
  }
  return path;
}
const index = '{"_class_name":"WanPipeline"}';

describe("a folder that is no checkpoint is told what it is, and what to type", () => {
  const cases: [string, Record<string, string | Uint8Array>, RegExp, (path: string) => string][] = [
    ["empty", {}, /no checkpoint/, () => "model_index.json"],
    [
      "one level too high",
      { [`wan/${"model_index.json"}`]: index },
      /one level above/,
      (path) => `${path}/wan`,
    ],
    [
      "a repository of the hub's cache",
      { "refs/main": "b\n", "snapshots/a/model_index.json": index, "snapshots/b/model_index.json": index },
      /hub's cache/,
      (path) => `--model ${path}/snapshots/b`,
    ],
    [
      "one without a checkpoint",
      { "refs/main": "b", "snapshots/b/model.safetensors": weights("a") },
      /hub's cache/,
      () => "-Diffusers",
    ],
    [
      "the hub's cache",
      { "models--Wan-AI--Wan/snapshots/b/model_index.json": index },
      /the hub's cache/,
      (path) => `${path}/models--Wan-AI--Wan/snapshots/b`,
    ],
    [
      "a component",
      { "model_index.json": index, "vae/config.json": "{}" },
      /one component/,
      (path) => `--model ${path}`,
    ],
    ["a LoRA by its name", { "pytorch_lora_weights.safetensors": weights("a") }, /LoRA/, () => "--lora"],
    [
      "a LoRA by its tensors",
      { "style.safetensors": weights("blocks.0.attn1.to_q.lora_A.weight") },
      /LoRA/,
      (path) => `--lora ${path}/style.safetensors`,
    ],
    [
      "a LoRA by its configuration",
      { "adapter_config.json": "{}", "a.safetensors": weights("a") },
      /LoRA/,
      () => "--lora",
    ],
    ["GGUF", { "wan Q4.gguf": "GGUF" }, /GGUF/, (path) => `--model '${path}/wan Q4.gguf'`],
    [
      "a model of text",
      { "config.json": '{"architectures":["LlamaForCausalLM"]}', "model.safetensors": weights("a") },
      /model of text \(LlamaForCausalLM\)/,
      () => "video model",
    ],
    [
      "one file of weights",
      { "wan2.1_t2v_1.3B_bf16.safetensors": weights("a") },
      /weights, wan2\.1_t2v_1\.3B_bf16\.safetensors/,
      (path) => `--model ${path}/wan2.1_t2v_1.3B_bf16.safetensors`,
    ],
    [
      "the authors' own layout",
      { "Wan2.1_VAE.pth": "", "config.json": "{}" },
      /Wan2\.1_VAE\.pth/,
      () => "-Diffusers",
    ],
  ];
  it.each(cases)("%s", async (name, files, what, fix) => {
    const path = await folder(files);
    const given = name === "a component" ? join(path, "vae") : path;
    const error = await openModel({ model: given }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "WRONG_FOLDER", isUsage: true, where: given });
    expect((error as Error).message).toMatch(what);
    expect((error as { fix: string }).fix).toContain(fix(path));
  });

  it("and a checkpoint is one, by a link too", async () => {
    const path = join(root, "whole");
    await cp(BUNDLED_MODEL, path, { recursive: true });
    expect(await openModel({ model: path })).toMatchObject({ name: "whole" });
  });
});
