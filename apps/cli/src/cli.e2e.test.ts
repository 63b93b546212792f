/** The command line as people meet it: wrong input, Ctrl-C, files and what they say about themselves. */
import { spawnSync } from "node:child_process";
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TorchCpuGenerator } from "@lvsa/diffusion";
import { encodeSafetensors } from "@lvsa/runtime";
import { floatTensor, readSafetensors, relativeL2 } from "@lvsa/runtime/testing";
import { afterAll, describe, expect, test } from "vitest";
import { writeLatents } from "./generate/latents-file.js";
import { DEVICE, events, runCli } from "./testing/run-cli.js";

const TINY = fileURLToPath(new URL("../../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-cli-"));
afterAll(() => rm(folder, { recursive: true }));

const path = (name: string) => join(folder, name);
/** The smallest clip that has more than one latent frame. */
const SMALL = [
  "--model",
  TINY,
  "--prompt",
  "A cat.",
  "--num-frames",
  "9",
  "--height",
  "32",
  "--width",
  "48",
  "--steps",
  "2",
  "--max-sequence-length",
  "16",
];
const generate = (...args: string[]) => runCli(["generate", ...DEVICE, ...SMALL, ...args]);
async function latentsOf(file: string) {
  return floatTensor(await readSafetensors(file), "latents");
}

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

test("calibrate measures ratios, and generate skips steps with them", async () => {
  const ratios = path("ratios.json");
  const steps = ["--model", TINY, "--prompt", "A cat.", "--steps", "6"];
  const measured = await runCli(["calibrate", ...DEVICE, ...SMALL, ...steps, "--output", ratios, "--json"]);
  expect(measured.code).toBe(0);
  const file = JSON.parse(await readFile(ratios, "utf8")) as Record<"positive" | "negative", number[]>;
  for (const branch of ["positive", "negative"] as const) {
    expect(file[branch]).toHaveLength(6);
    expect(file[branch][0]).toBe(1);
    for (const ratio of file[branch]) expect(ratio).toBeGreaterThan(0);
  }
  const options = ["--step-cache", "magcache:100", "--mag-ratios", ratios];
  const latents = path("cached.safetensors");
  const run = await generate(...steps, ...options, "--seed", "1", "--output-latent", latents, "--json");
  expect(run.code).toBe(0);
  const { settings } = events(run.stdout).at(-1) as { settings: Record<string, unknown> };
  // 12 passes, of which those of the first step run; at most two in a row are skipped after them.
  expect(settings.step_cache_report).toMatchObject({ passes: 12, threshold: 100 });
  expect((settings.step_cache_report as { reused: number }).reused).toBeGreaterThan(4);
  expect(settings.step_cache).toMatch(/^magcache, .*given ratios$/);
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

// Its latents equal the training code's in packages/demo-wan; here it is what runs when nothing is said.
test("without --model the demo model's student runs, in four steps", async () => {
  const output = path("demo.gif");
  const clip = ["--num-frames", "5", "--seed", "2", "--output", output, "--json"];
  const { code, stdout } = await runCli(["generate", ...DEVICE, ...clip]);
  expect(code).toBe(0);
  expect(events(stdout).filter(({ event }) => event === "step")).not.toHaveLength(0);
  const settings = { preset: "demo-wan-4step", num_inference_steps: 4, guidance_scale: 1 };
  expect(events(stdout).at(-1)).toMatchObject({ event: "result", output, frames: 5, settings });
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

test("Ctrl-C stops within one step, leaves no file and ends with 130", async () => {
  const output = path("stopped");
  await mkdir(output);
  let stoppedAt = 0;
  const { code, stdout } = await runCli(
    ["generate", ...DEVICE, ...SMALL, "--steps", "500", "--json", "--output", join(output, "clip.mp4")],
    {
      onOutput: (text, interrupt) => {
        const steps = events(text.slice(0, text.lastIndexOf("\n"))).filter(
          ({ event }) => event === "step",
        ).length;
        if (steps < 2 || stoppedAt > 0) return;
        stoppedAt = steps;
        interrupt();
      },
    },
  );
  expect(code).toBe(130);
  const done = events(stdout);
  expect(done.at(-1)).toMatchObject({ event: "error", code: "ABORTED" });
  // What was written before the signal arrived, and the step that was running then.
  const heard = done.findIndex((e) => e.event === "notice" && String(e.line).startsWith("Stopping"));
  expect(heard).toBeGreaterThan(0);
  expect(done.slice(heard).filter(({ event }) => event === "step").length).toBeLessThanOrEqual(1);
  expect(await readdir(output)).toEqual([]);
});

describe("a signal stops the run at any moment, without a trace", () => {
  type Event = Record<string, unknown>;
  const isStage = (name: string, component?: string) => (event: Event) =>
    event.event === "stage" && event.stage === name && (!component || event.component === component);
  const moments: [string, NodeJS.Signals, number, (event: Event) => boolean][] = [
    ["encoding the prompt", "SIGINT", 130, isStage("encode-prompt")],
    ["loading the transformer", "SIGINT", 130, isStage("load", "transformer")],
    ["denoising", "SIGINT", 130, (event) => event.event === "step"],
    ["loading the autoencoder", "SIGINT", 130, isStage("load", "vae")],
    ["decoding", "SIGINT", 130, isStage("decode")],
    ["writing", "SIGINT", 130, (event) => isStage("decode")(event) && event.done === event.total],
    ["loading, by SIGTERM", "SIGTERM", 143, isStage("load", "transformer")],
    ["denoising, by SIGHUP", "SIGHUP", 129, (event) => event.event === "step"],
  ];
  test.each(moments)("%s", async (name, kind, expected, isNow) => {
    const output = path(`signal ${name}`);
    await mkdir(output);
    let sent = false;
    const { code, stdout, stderr } = await runCli(
      ["generate", ...DEVICE, ...SMALL, "--num-frames", "33", "--json", "--output", join(output, "clip.mp4")],
      {
        onOutput: (text, interrupt) => {
          if (sent || !events(text.slice(0, text.lastIndexOf("\n"))).some(isNow)) return;
          sent = true;
          interrupt(kind);
        },
      },
    );
    expect(code, stderr).toBe(expected);
    expect(events(stdout).at(-1)).toMatchObject({ event: "error", code: "ABORTED" });
    expect(stderr).not.toMatch(/^ +at /m);
    expect(await readdir(output)).toEqual([]);
  });
});

describe("numbers that are none", () => {
  test("end the run, and what was right is kept", async () => {
    const broken = path("not-finite");
    await cp(TINY, broken, { recursive: true });
    const file = join(broken, "vae/diffusion_pytorch_model.safetensors");
    const bytes = await readFile(file);
    const header = Number(bytes.readBigUInt64LE(0));
    const tensors = JSON.parse(bytes.subarray(8, 8 + header).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const start = 8 + header + tensors["decoder.conv_in.weight"]!.data_offsets[0];
    await writeFile(file, bytes.fill(0xff, start, start + 4));
    const output = path("not-finite.mp4");
    const { code, stderr } = await generate("--model", broken, "--prompt", "x", "--output", output);
    expect(code).toBe(1);
    expect(stderr).toMatch(/vae are not finite numbers/);
    const kept = `${output}.latents.safetensors`;
    expect(stderr).toContain(`lvsa decode ${kept} --model ${broken} --output ${output}`);
    expect((await latentsOf(kept)).data.every(Number.isFinite)).toBe(true);
    expect((await readdir(folder)).filter((name) => /not-finite\.mp4/.test(name))).toEqual([basename(kept)]);
    // With a decoder that is right they become what they would have been.
    const decoded = await runCli(["decode", ...DEVICE, kept, "--model", TINY, "--output", output]);
    expect(decoded.code, decoded.stderr).toBe(0);
    const { settings } = JSON.parse(await readFile(`${output}.json`, "utf8")) as { settings: object };
    expect(settings).toMatchObject({ prompt: "x", num_inference_steps: 2 });
  });

  test("are refused in given latents, by file", async () => {
    const file = path("nan.safetensors");
    const data = new Float32Array(16 * 3 * 4 * 6).fill(Number.NaN);
    await writeLatents(file, { data, shape: [1, 16, 3, 4, 6] });
    const { code, stderr } = await generate("--initial-latents", file, "--output", path("never.mp4"));
    expect(stderr).toMatch(/nan\.safetensors.*not finite/);
    expect(code).toBe(2);
  });
});

describe("options without effect", () => {
  test("are named as they are typed, and not stated as used", async () => {
    const output = path("unguided.gif");
    const { code, stderr } = await generate(
      ...["--guidance", "1", "--negative-prompt", "ugly", "--guidance-2", "1", "--output", output],
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/--guidance-2 is the scale of a second transformer/);
    const again = await generate(...["--guidance", "1", "--negative-prompt", "ugly", "--output", output]);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toMatch(/--negative-prompt had no effect: guidance is off with --guidance 1/);
    const { settings } = JSON.parse(await readFile(`${output}.json`, "utf8")) as {
      settings: Record<string, unknown>;
    };
    expect(settings).toMatchObject({ negative_prompt: null, guidance_scale: 1 });
  });
});

describe("a clip", () => {
  test("says in its metadata how it was made", async () => {
    const clip = path("clip.mp4");
    const { code, stdout, stderr } = await generate(
      ...[
        "--prompt",
        "A red fox.",
        "--seed",
        "7",
        "--lvsa",
        "--show-mask-compact",
        "step",
        "--json",
        "--output",
        clip,
      ],
    );
    expect(code, stderr).toBe(0);
    const said = events(stdout);
    expect(said.at(-1)).toMatchObject({
      event: "result",
      output: clip,
      frames: 9,
      width: 48,
      height: 32,
      seed: 7,
    });
    const lines = said.filter(({ event }) => event === "log").map(({ line }) => String(line));
    expect(lines).toContainEqual(expect.stringMatching(/^\[LVSA\] installed on 2 blocks {2}num_patches=6/));
    expect(said.filter(({ event }) => event === "mask")).toHaveLength(2);
    expect(JSON.parse(await readFile(`${clip}.json`, "utf8"))).toMatchObject({
      title: "A red fox.",
      settings: { seed: 7, prompt: "A red fox.", lvsa: { rotate_keyframes: true } },
      video: { frames: 9, fps: 16 },
    });
    const probe = spawnSync("ffprobe", [
      ...["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", clip],
    ]);
    if (probe.error) {
      console.log("not checked with ffprobe: it is not installed");
      return;
    }
    const { streams, format } = JSON.parse(probe.stdout.toString()) as {
      streams: Record<string, unknown>[];
      format: { tags: Record<string, string> };
    };
    expect(streams[0]).toMatchObject({ codec_name: "h264", width: 48, height: 32, nb_read_frames: "9" });
    expect(streams[0]).toMatchObject({ r_frame_rate: "16/1", color_range: "tv", color_space: "bt709" });
    expect(format.tags.title).toBe("A red fox.");
    expect(JSON.parse(format.tags.comment!)).toMatchObject({ seed: 7, guidance_scale: 5, num_frames: 9 });
  });

  test("keeps a seed of 64 bits exactly, and a negative one", async () => {
    const run = async (seed: string, name: string) => {
      const said = await generate(
        ...[
          "--prompt",
          "x",
          "--seed",
          seed,
          "--steps",
          "1",
          "--json",
          "--output-latent",
          path(`${name}.safetensors`),
        ],
        ...["--output", path(`${name}.gif`)],
      );
      expect(said.code, said.stderr).toBe(0);
      return {
        result: events(said.stdout).at(-1),
        latents: (await latentsOf(path(`${name}.safetensors`))).data,
      };
    };
    // 2^64 - 1, -1 and 2^32 - 1 are one seed for torch.
    const large = await run("18446744073709551615", "large");
    expect(large.result).toMatchObject({
      seed: "18446744073709551615",
      settings: { seed: "18446744073709551615" },
    });
    const negative = await run("-1", "negative");
    expect(negative.result).toMatchObject({ seed: -1, settings: { seed: -1 } });
    expect(negative.latents).toEqual(large.latents);
  });

  test("starts from torch's numbers for its seed, and both transformers of a two-stage model run", async () => {
    const latents = (name: string) => path(`${name}.safetensors`);
    const common = ["--prompt", "A red fox.", "--steps", "4", "--precision", "f32"];
    const bySeed = await generate(
      "--model",
      TINY,
      ...common,
      "--seed",
      "7",
      "--output-latent",
      latents("seed"),
    );
    expect(bySeed.code, bySeed.stderr).toBe(0);
    const shape = [1, 16, 3, 4, 6];
    await writeLatents(latents("noise"), { data: new TorchCpuGenerator(7).randn(shape), shape });

    // The same transformer twice: whichever stage runs, the result is that of one.
    const twoStage = path("two-stage");
    await mkdir(twoStage);
    for (const part of await readdir(TINY)) await symlink(join(TINY, part), join(twoStage, part));
    await symlink(join(TINY, "transformer"), join(twoStage, "transformer_2"));
    const index = JSON.parse(await readFile(join(TINY, "model_index.json"), "utf8")) as Record<
      string,
      unknown
    >;
    const both = { ...index, transformer_2: ["diffusers", "WanTransformer3DModel"], boundary_ratio: 0.8 };
    await rm(join(twoStage, "model_index.json"));
    await writeFile(join(twoStage, "model_index.json"), JSON.stringify(both));
    // A window that covers the clip is the dense pattern.
    const sparse = await generate(
      ...["--model", twoStage, ...common, "--initial-latents", latents("noise")],
      ...["--lvsa", "--window-size", "16", "--output-latent", latents("two-stage"), "--json"],
    );
    expect(sparse.code, sparse.stderr).toBe(0);
    const said = events(sparse.stdout);
    expect(said.filter(({ event }) => event === "log").map(({ line }) => line)).toContainEqual(
      expect.stringContaining("[LVSA] installed on 4 blocks"),
    );
    const loaded = new Set(said.filter(({ event }) => event === "stage").map(({ component }) => component));
    expect(loaded).toContain("transformer");
    expect(loaded).toContain("transformer_2");
    const [one, two] = [await latentsOf(latents("seed")), await latentsOf(latents("two-stage"))];
    expect(one.shape).toEqual(shape);
    // Sums in another order: two f32 loops of this size differ by about 1e-6.
    expect(relativeL2(two.data, one.data)).toBeLessThan(1e-5);
  });

  test("without a model, quiet, as PNG frames", async () => {
    const small = ["--num-frames", "9", "--height", "32", "--width", "48", "--steps", "1", "--seed", "1"];
    const { code, stdout, stderr } = await runCli([
      ...["generate", ...DEVICE, ...small, "--quiet", "--output", path("frames/")],
    ]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe("");
    expect((await readdir(path("frames"))).length).toBe(9);
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
