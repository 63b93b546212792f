/** The command line as people meet it: help, wrong input, and what it says about checkpoints and devices. */
import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeSafetensors } from "@lvsa/runtime";
import { describe, expect, test } from "vitest";
import { DEVICE, runCli, TINY } from "./testing/run-cli.js";
import { tinyRuns } from "./testing/tiny-runs.js";

const { folder, path, generate } = await tinyRuns("cli");

describe("help", () => {
  test.each(["generate", "calibrate", "plan", "inspect", "doctor", "bench"])(
    "%s shows an example",
    async (command) => {
      const { code, stdout } = await runCli([command, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`Examples?:\\n  lvsa ${command}`));
    },
  );
});

describe("wrong usage ends with 2 and says what to do", () => {
  const wrong: [string, string[], RegExp][] = [
    ["unknown option", ["generate", "--num-frmes", "9"], /Did you mean --num-frames\?/],
    ["unknown command", ["genrate"], /Did you mean generate\?/],
    [
      "ratios without their cache",
      ["generate", "--mag-ratios", "r.json"],
      /--mag-ratios: is for --step-cache magcache/,
    ],
    ["a cache that nobody knows", ["generate", "--step-cache", "x"], /--step-cache: expected easycache/],
    ["steps that no schedule has", ["generate", "--steps", "5000"], /--steps: expected at most 1000/],
    ["a rate that no file holds", ["generate", "--fps", "2000"], /--fps: expected at most 1000/],
    ["plan off the grid", ["plan", "wan2.1-t2v-1.3b", "--num-frames", "80"], /80/],
    ["not a number", ["generate", "--steps", "many"], /--steps: expected a whole number.*"many"/],
    ["no prompt", ["generate", "--model", TINY], /--prompt: a prompt is needed/],
    ["frames off the grid", ["generate", ...DEVICE, "--num-frames", "10"], /10 frames[\s\S]*9 or 13/],
    ["size off the grid", ["generate", ...DEVICE, "--height", "40"], /height 40[\s\S]*32 or 48/],
    ["unknown format", ["generate", "--output", path("clip.avi")], /\.mp4/],
    ["a file in the way", ["generate", "--output", join(TINY, "model_index.json", "x.mp4")], /is a file/],
    ["latents with another ending", ["generate", "--output-latent", path("x.pt")], /\.safetensors/],
    ["RIFLEx index", ["generate", ...DEVICE, "--riflex", "--riflex-k", "40"], /--riflex-k 0\.\.5/],
    ["bad sparsity", ["generate", "--lvsa", "--sparsity-scale", "-1"], /--sparsity-scale/],
    ["unknown model", ["plan", "wan9"], /wan2\.1-t2v-1\.3b/],
  ];
  test.each(wrong)("%s", async (_name, args, message) => {
    const { code, stderr } = await runCli(args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

describe("control characters from outside", () => {
  const OWNED = "\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal obeys
  const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;

  test.each<[string, string[]]>([
    ["in a path", ["generate", "--model", `/nowhere${OWNED}`, "--prompt", "x"]],
    ["in an option", ["generate", "--model", TINY, "--steps", OWNED, "--prompt", "x"]],
    ["in a command", [OWNED]],
    ["in a model's name", ["plan", OWNED]],
  ])("%s are shown, not obeyed", async (_name, args) => {
    const { code, stdout, stderr } = await runCli(args);
    expect(code).toBeGreaterThan(0);
    expect(stdout + stderr).not.toMatch(OBEYED);
    expect(stderr).toContain("\\u001b");
  });

  test("in class and component names of a checkpoint are shown, not obeyed", async () => {
    const model = path("owned");
    await cp(TINY, model, { recursive: true });
    const index = JSON.parse(await readFile(join(model, "model_index.json"), "utf8")) as Record<
      string,
      unknown
    >;
    const named = { ...index, _class_name: `Wan${OWNED}`, vae: ["diffusers", `Vae${OWNED}`] };
    await writeFile(join(model, "model_index.json"), JSON.stringify(named));
    for (const args of [
      ["inspect", model],
      ["inspect", model, "--json"],
      ["generate", "--model", model, "--prompt", "x"],
    ]) {
      const { stdout, stderr } = await runCli(args);
      expect(stdout + stderr).not.toMatch(OBEYED);
      expect(stdout + stderr).toMatch(/\\u001b/);
    }
  });
});

describe("what is given and can not be used ends with 2 and names the file", () => {
  test("no such folder", async () => {
    const { code, stderr } = await runCli(["generate", "--model", path("nowhere"), "--prompt", "x"]);
    expect(stderr).toContain(path("nowhere"));
    expect(code).toBe(2);
  });

  test("a truncated weights file is found before anything runs", async () => {
    const broken = path("broken");
    await cp(TINY, broken, { recursive: true });
    const weights = join(broken, "transformer/diffusion_pytorch_model.safetensors");
    await truncate(weights, (await stat(weights)).size - 1000);
    const { code, stderr } = await generate(
      "--model",
      broken,
      "--prompt",
      "x",
      "--output",
      path("broken.mp4"),
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/transformer/);
    expect(stderr).not.toContain("encoding the prompt");
    expect(await readdir(folder)).not.toContain("broken.mp4");
  });

  const badLatents: [string, Parameters<typeof encodeSafetensors>[0], RegExp][] = [
    [
      "name",
      { noise: { dtype: "F32", shape: [1], data: new Float32Array(1) } },
      /no tensor "latents".*noise/,
    ],
    [
      "type",
      { latents: { dtype: "F16", shape: [1, 1, 1, 1, 1], data: new Uint16Array(1) } },
      /F16, expected F32/,
    ],
    [
      "rank",
      { latents: { dtype: "F32", shape: [2], data: new Float32Array(2) } },
      /\[2\], expected \[B, C, T, h, w\]/,
    ],
  ];
  test.each(badLatents)("latents of another %s", async (name, tensors, message) => {
    const file = path(`bad-${name}.safetensors`);
    await writeFile(file, encodeSafetensors(tensors));
    const { code, stderr } = await generate("--initial-latents", file, "--output", path("never.mp4"));
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

describe("inspect and generate agree on what runs", () => {
  const broken: [string, (folder: string) => Promise<unknown>, RegExp][] = [
    [
      "a pipeline that is not supported",
      async (copy) => {
        const file = join(copy, "model_index.json");
        await writeFile(file, (await readFile(file, "utf8")).replace("WanPipeline", "LTXPipeline"));
      },
      /LTXPipeline, which is not supported/,
    ],
    ["a tokenizer without its file", (copy) => rm(join(copy, "tokenizer/tokenizer.json")), /tokenizer/],
    [
      "a scheduler that is unknown",
      async (copy) => {
        const file = join(copy, "model_index.json");
        await writeFile(
          file,
          (await readFile(file, "utf8")).replace(/"(UniPC|FlowMatch)\w+"/, '"OtherScheduler"'),
        );
      },
      /OtherScheduler/,
    ],
  ];
  test.each(broken)("%s", async (name, change, message) => {
    const copy = path(`agree ${name}`);
    await cp(TINY, copy, { recursive: true });
    await change(copy);
    const inspected = await runCli(["inspect", copy]);
    expect([inspected.code, inspected.stdout]).toEqual([2, expect.stringMatching(message)]);
    const json = JSON.parse((await runCli(["inspect", copy, "--json"])).stdout) as object;
    expect(json).toMatchObject({ ok: false, problem: { message: expect.stringMatching(message) as string } });
    const generated = await generate("--model", copy, "--prompt", "x", "--output", path("never.mp4"));
    expect([generated.code, generated.stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test("a folder that is none is wrong usage for both", async () => {
    const copy = path("above");
    await mkdir(copy);
    await cp(TINY, join(copy, "tiny"), { recursive: true });
    for (const run of [
      await runCli(["inspect", copy]),
      await runCli(["plan", copy]),
      await generate("--model", copy, "--prompt", "x", "--output", path("never.mp4")),
    ]) {
      expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/one level above[\s\S]*above\/tiny/)]);
    }
  });
});

describe("plan and inspect", () => {
  test("plan several frame counts, with a picture and a page", async () => {
    const { code, stdout } = await runCli([
      ...["plan", "wan2.1-t2v-1.3b", "--num-frames", "81,161", "--json"],
      ...["--png", path("mask.png"), "--html", path("plan.html")],
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([{ num_frames: 81 }, { num_frames: 161 }]);
    expect((await readFile(path("mask.png"))).subarray(1, 4).toString()).toBe("PNG");
    expect(await readFile(path("plan.html"), "utf8")).toContain("<svg");
  });

  test("inspect a folder and a known model", async () => {
    const tiny = await runCli(["inspect", TINY, "--json"]);
    expect(tiny.code).toBe(0);
    expect(JSON.parse(tiny.stdout)).toMatchObject({ ok: true, pipeline_class: "WanPipeline" });
    const known = await runCli(["inspect", "wan2.1-t2v-1.3b"]);
    expect(known.stdout).toContain("1,418,996,800");
  });
});

test("doctor finds an adapter and says what it takes", async () => {
  const { code, stdout } = await runCli(["doctor", "--json"]);
  const found = JSON.parse(stdout) as { ok: boolean; chosen: string; adapters: Record<string, unknown>[] };
  expect(found.ok).toBe(true);
  expect(code).toBe(0);
  expect(found.adapters.find(({ name }) => name === found.chosen)).toMatchObject({
    ok: true,
    info: { limits: { maxBufferSize: expect.any(Number) as number } },
  });
});
