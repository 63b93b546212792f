/** What was asked or given wrongly ends with 2, whatever the command and the kind of mistake, and nothing is left of it. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeSafetensors } from "@lvsa/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram } from "./program.js";

const TINY = fileURLToPath(new URL("../../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-wrong-"));
afterAll(() => rm(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);

const nowhere = at("nowhere");
/** No file of any kind. */
const garbage = at("garbage.safetensors");
const binary = at("prompts.txt");
const empty = at("empty");
const textModel = at("text-model");
const unsupported = at("unsupported");
const cut = at("cut");
const pickled = at("pickled");
const withoutVae = at("without-vae");
const latents = at("latents.safetensors");

beforeAll(async () => {
  await mkdir(empty);
  await mkdir(textModel);
  await writeFile(
    join(textModel, "config.json"),
    '{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}',
  );
  await writeFile(garbage, new Uint8Array(300).fill(0x7a));
  await writeFile(binary, new Uint8Array([0xff, 0xfe, 0x00, 0xd8, 0x80]));
  for (const copy of [unsupported, cut, pickled, withoutVae]) await cp(TINY, copy, { recursive: true });
  const index = JSON.parse(await readFile(join(TINY, "model_index.json"), "utf8")) as object;
  await writeFile(
    join(unsupported, "model_index.json"),
    JSON.stringify({ ...index, _class_name: "StableDiffusionPipeline" }),
  );
  const weights = (of: string) => join(of, "transformer/diffusion_pytorch_model.safetensors");
  await truncate(weights(cut), 10_000);
  await rm(weights(pickled));
  await writeFile(join(pickled, "transformer/diffusion_pytorch_model.bin"), "PK\u0003\u0004 a zip archive");
  await rm(join(withoutVae, "vae"), { recursive: true });
  await writeFile(
    latents,
    encodeSafetensors({ latents: { dtype: "F32", shape: [2], data: new Float32Array(2) } }),
  );
});

async function run(args: readonly string[]) {
  let err = "";
  let out = "";
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    redraw: () => {},
    isTerminal: false,
    env: {},
  };
  const code = await runProgram(args, io);
  return { code, out, err };
}

const prompt = ["--prompt", "a cat"];
const output = ["--output", at("never.mp4")];
/** Each command with a checkpoint in the place where it takes one. */
const OF_MODEL: Readonly<Record<string, (model: string) => string[]>> = {
  generate: (model) => ["generate", "--model", model, ...prompt, ...output],
  calibrate: (model) => ["calibrate", "--model", model, ...prompt, "--output", at("never.json")],
  plan: (model) => ["plan", "--model", model],
  inspect: (model) => ["inspect", model],
  quantize: (model) => ["quantize", model, "--to", "fp8", "--output", at("never")],
  compare: (model) => ["compare", "--model", model, ...prompt, "--output", at("never.html")],
  "bench model": (model) => ["bench", "model", "--config", model],
  serve: (model) => ["serve", "--port", "0", "--model", `m=${model}`, "--workspace", at("jobs")],
};
/** What a command asks of a checkpoint is not all the same: configurations alone make a plan. */
const MODELS: readonly [string, () => string, readonly string[]][] = [
  ["a path that leads nowhere", () => nowhere, Object.keys(OF_MODEL)],
  ["a file that is none", () => garbage, Object.keys(OF_MODEL)],
  ["an empty folder", () => empty, Object.keys(OF_MODEL)],
  ["a text model", () => textModel, Object.keys(OF_MODEL)],
  [
    "another kind of pipeline",
    () => unsupported,
    ["generate", "calibrate", "plan", "inspect", "compare", "serve"],
  ],
  [
    "weights that were cut off",
    () => cut,
    ["generate", "calibrate", "inspect", "quantize", "compare", "serve"],
  ],
  ["weights in a pickle", () => pickled, ["generate", "calibrate", "inspect", "quantize", "compare"]],
  ["a component that is missing", () => withoutVae, ["generate", "inspect", "compare"]],
];

describe.each(MODELS)("%s", (_kind, model, commands) => {
  it.each([...commands])("is wrong usage of %s", async (command) => {
    const { code, err, out } = await run(OF_MODEL[command]!(model()));
    expect(err + out).not.toMatch(/^ +at /m);
    expect({ code, said: (err + out).length > 0 }, err + out).toEqual({ code: 2, said: true });
  });
});

const OTHERS: readonly [string, () => string[]][] = [
  ["an option that does not exist", () => ["doctor", "--jsn"]],
  ["an option that does not exist", () => ["score", "--jsn", "x.png"]],
  ["a value that is no number", () => ["generate", "--steps", "many", ...prompt, ...output]],
  ["a value that is no number", () => ["plan", "--num-frames", "many"]],
  ["a value that is no number", () => ["decode", latents, "--fps", "many"]],
  ["a value that is no number", () => ["serve", "--port", "many"]],
  ["a value that is no choice", () => ["quantize", TINY, "--to", "int3"]],
  ["a value that is no choice", () => ["resume", latents, "--precision", "f8"]],
  ["no argument", () => ["pull"]],
  ["a repository's name that is none", () => ["pull", "../x"]],
  ["no folder and no known model", () => ["plan", "wan9"]],
  ["latents that are not there", () => ["decode", nowhere, "--model", TINY]],
  ["latents that are none", () => ["decode", garbage, "--model", TINY, ...output]],
  ["latents of another shape", () => ["decode", latents, "--model", TINY, ...output]],
  ["latents of a folder", () => ["decode", empty, "--model", TINY, ...output]],
  [
    "initial latents that are none",
    () => ["generate", "--model", TINY, "--initial-latents", garbage, ...prompt, ...output],
  ],
  ["a LoRA that is not there", () => ["generate", "--model", TINY, "--lora", nowhere, ...prompt, ...output]],
  ["a LoRA that is none", () => ["generate", "--model", TINY, "--lora", garbage, ...prompt, ...output]],
  [
    "a picture that is not there",
    () => ["generate", "--model", TINY, "--image", nowhere, ...prompt, ...output],
  ],
  ["a picture that is none", () => ["generate", "--model", TINY, "--image", garbage, ...prompt, ...output]],
  [
    "a component's file that is none",
    () => ["generate", "--model", TINY, "--transformer", garbage, ...prompt, ...output],
  ],
  ["a component's file that is none", () => ["inspect", "--transformer", garbage]],
  ["a run that is not there", () => ["resume", nowhere]],
  ["a run that is none", () => ["resume", garbage]],
  ["a run that is none", () => ["resume", latents]],
  ["a video that is not there", () => ["score", nowhere]],
  ["a video that is none", () => ["score", garbage]],
  ["a folder without frames", () => ["score", empty]],
  ["prompts that are not there", () => ["compare", "--model", TINY, "--prompts", nowhere]],
  ["prompts that are no text", () => ["compare", "--model", TINY, "--prompts", binary]],
  ["prompts that are a folder", () => ["compare", "--model", TINY, "--prompts", empty]],
  [
    "an output in a folder that is a file",
    () => ["generate", "--model", TINY, ...prompt, "--output", join(garbage, "x.mp4")],
  ],
  ["a picture in a folder that is a file", () => ["plan", TINY, "--png", join(garbage, "x.png")]],
  ["a page in a folder that is a file", () => ["plan", TINY, "--html", join(garbage, "x.html")]],
  ["a format that nobody writes", () => ["generate", "--model", TINY, ...prompt, "--output", at("x.avi")]],
  [
    "a device that is not there",
    () => ["generate", "--model", TINY, ...prompt, ...output, "--device", "none such"],
  ],
  ["a run that nobody writes", () => ["cancel", nowhere]],
];

describe("wrong usage", () => {
  it.each(OTHERS)("%s", async (_kind, args) => {
    const { code, err } = await run(args());
    expect(err).not.toMatch(/^ +at /m);
    expect({ code, said: err.length > 0 }, err).toEqual({ code: 2, said: true });
  });
});

it("leaves nothing behind", async () => {
  const given = [nowhere, garbage, binary, empty, textModel, unsupported, cut, pickled, withoutVae, latents];
  expect((await readdir(folder)).map((name) => at(name)).filter((name) => !given.includes(name))).toEqual([]);
});
