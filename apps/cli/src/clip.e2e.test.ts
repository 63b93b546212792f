/** What a run makes and says about itself: settings, latents, files, options without effect, numbers that are none. */
import { spawnSync } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { TorchCpuGenerator } from "@lvsa/diffusion";
import { relativeL2 } from "@lvsa/runtime/testing";
import { describe, expect, test } from "vitest";
import { writeLatents } from "./generate/latents-file.js";
import { DEVICE, events, runCli, TINY } from "./testing/run-cli.js";
import { latentsOf, SMALL, tinyRuns } from "./testing/tiny-runs.js";

const { folder, path, generate } = await tinyRuns("clip");

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
