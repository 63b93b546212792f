import { readFileSync } from "node:fs";
import { parseLvsaConfig } from "@lvsa/core";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { UsageError } from "../exit-codes.js";
import { VERSION } from "../version.js";
import { parseCalibrateOptions } from "./calibrate-options.js";
import { addGenerateOptions, ignoredOptions, parseGenerateOptions } from "./generate-options.js";
import { generationOptions } from "./generation-flags.js";
import { lvsaConfigOf } from "./lvsa-options.js";
import { keptMp4 } from "./mp4-option.js";
import { optionName } from "./parse-options.js";
import { addPlanOptions, parsePlanOptions } from "./plan-options.js";
import { tilingOf, typedTiling } from "./tiling-options.js";

function generate(...args: string[]) {
  const command = addGenerateOptions(new Command().exitOverride());
  return parseGenerateOptions(command.parse(args, { from: "user" }).opts());
}
function plan(...args: string[]) {
  const command = addPlanOptions(new Command().exitOverride()).parse(args, { from: "user" });
  return parsePlanOptions({ ...command.opts(), model: command.args[0] ?? "" });
}

describe("--preview", () => {
  it("draws where there are lines of text, and writes a file anywhere", () => {
    expect(generate("--preview", "terminal").preview).toBe("terminal");
    expect(generate("--preview", "png", "--json").preview).toBe("png");
    for (const voice of ["--json", "--quiet"]) {
      expect(() => generate("--preview", "terminal", voice)).toThrow(
        new RegExp(`--preview: .*${voice} has none`),
      );
    }
    expect(() => generate("--preview", "gif")).toThrow(/--preview: expected png or terminal/);
  });
});

describe("tiles of the autoencoder", () => {
  it("have the model's sizes or given ones, which turn them on", () => {
    expect(tilingOf(generate())).toBeUndefined();
    expect(tilingOf(generate("--vae-tiling"))).toBe(true);
    expect(tilingOf(generate("--vae-tile-size", "320x256"))).toEqual({
      tileSampleMinHeight: 256,
      tileSampleMinWidth: 320,
    });
    expect(tilingOf(plan("m", "--vae-tiling", "--vae-tile-stride", "96"))).toEqual({
      tileSampleStrideHeight: 96,
      tileSampleStrideWidth: 96,
    });
    for (const text of ["0", "-8", "256x", "1.5", "a"]) {
      expect(() => generate("--vae-tile-size", text)).toThrow(/--vae-tile-size: expected a number of pixels/);
    }
    expect(typedTiling({ vaeTiling: true, vaeTileSize: "128", prompt: "a" })).toEqual({
      tileSampleMinHeight: 128,
      tileSampleMinWidth: 128,
    });
    expect(typedTiling({ prompt: "a" })).toBeUndefined();
  });
});

describe("windows", () => {
  it("take their prompts from a file, and no other prompt", () => {
    const windows = ["--window-frames", "81", "--window-overlap", "20"];
    const options = generate("--model", "m", "--prompts", "day.json", ...windows);
    expect(options).toMatchObject({ windowFrames: 81, windowOverlap: 20, prompts: "day.json" });
    expect(generationOptions(options)).toMatchObject({ windowFrames: 81, windowOverlap: 20 });
    expect(() => generate("--prompts", "day.json", "--prompt", "a", ...windows)).toThrow(
      /exclude each other/,
    );
    expect(() => generate("--prompts", "day.json")).toThrow(/--prompts: --window-frames is needed too/);
    for (const read of [generate, (...args: string[]) => plan("m", ...args)]) {
      expect(() => read("--window-overlap", "4")).toThrow(/--window-overlap: --window-frames is needed too/);
    }
  });
});

describe("--mp4", () => {
  it("is a layout of an .mp4, and refused for anything else", () => {
    expect(generate("--mp4", "fragmented").mp4).toBe("fragmented");
    expect(generate("--mp4", "fast-start", "--output", "A.MP4").mp4).toBe("fast-start");
    expect(() => generate("--mp4", "flat")).toThrow(/--mp4: expected fast-start or fragmented/);
    expect(() => generate("--mp4", "fragmented", "--output", "a.gif")).toThrow(/--mp4.*is for an \.mp4/);
  });

  it("goes on with a run as long as that writes an .mp4", () => {
    expect(keptMp4("fragmented", "/a/b.mp4")).toBe("fragmented");
    expect(keptMp4("fragmented", "/a/b.gif")).toBeUndefined();
    expect(keptMp4(undefined, "/a/b.mp4")).toBeUndefined();
  });
});

describe("lvsa generate", () => {
  it("reads every option with its type", () => {
    const options = generate(
      ...["--model", "m", "--prompt", "p", "--negative-prompt", "n", "--num-frames", "81"],
      ...["--height", "480", "--width", "832", "--steps", "40", "--guidance", "5.5", "--guidance-2", "3"],
      ...["--flow-shift", "8", "--seed", "0", "--fps", "16", "--max-sequence-length", "226"],
      ...["--output", "o.mp4", "--output-latent", "l.safetensors", "--initial-latents", "i.safetensors"],
      ...[
        "--precision",
        "f16",
        "--math",
        "exact",
        "--device",
        "embedded",
        "--lvsa",
        "--window-size",
        "12",
        "--n-first-frames",
        "4",
      ],
      ...["--key-frame-interval", "16", "--auto-keyframes", "--rotate-keyframes", "--sparsity-scale", ".8"],
      ...["--reference-latent-frames", "21", "--show-mask", "--show-mask-compact", "step", "--riflex"],
      ...[
        "--overwrite",
        "--checkpoint-every",
        "5",
        "--riflex-s",
        "2",
        "--riflex-k",
        "4",
        "--riflex-train-len",
        "21",
        "--profile",
        "--json",
      ],
    );
    expect(options).toEqual({
      ...{ cfgParallelSize: 1, contextParallelSize: 1 },
      ...{ model: "m", prompt: "p", negativePrompt: "n", numFrames: 81, height: 480, width: 832, steps: 40 },
      ...{ guidance: 5.5, guidance2: 3, flowShift: 8, seed: 0, fps: 16, maxSequenceLength: 226 },
      ...{ output: "o.mp4", outputLatent: "l.safetensors", initialLatents: "i.safetensors" },
      ...{ overwrite: true, checkpointEvery: 5 },
      ...{ precision: "f16", math: "exact", device: "embedded", lvsa: true, windowSize: 12, nFirstFrames: 4 },
      ...{ keyFrameInterval: 16, autoKeyframes: true, rotateKeyframes: true, sparsityScale: 0.8 },
      ...{ referenceLatentFrames: 21, showMask: true, showMaskCompact: "step" },
      ...{
        riflex: true,
        riflexS: 2,
        riflexK: 4,
        riflexTrainLen: 21,
        profile: true,
        json: true,
        quiet: false,
      },
    });
  });

  it("reads what few-step models need", () => {
    const options = generate(
      ...["--preset", "lightx2v-4step", "--scheduler", "FlowMatchLCMScheduler", "--sigmas", "1, .75,0.5"],
      ...["--boundary-step", "2"],
    );
    expect(options).toMatchObject({ preset: "lightx2v-4step", sigmas: [1, 0.75, 0.5], boundaryStep: 2 });
    expect(generationOptions(options)).toEqual({
      ...{ preset: "lightx2v-4step", scheduler: "FlowMatchLCMScheduler", sigmas: [1, 0.75, 0.5] },
      boundaryStepIndex: 2,
    });
  });

  it("reads a step cache with its threshold", () => {
    expect(generate("--step-cache", "easycache:.3").stepCache).toEqual({ name: "easycache", threshold: 0.3 });
    expect(generationOptions(generate("--step-cache", "first-block"))).toEqual({
      stepCache: { name: "first-block" },
    });
    expect(() => generate("--step-cache", "teacache:x")).toThrow(
      "--step-cache: expected easycache, magcache",
    );
  });

  it("reads LoRAs with their weights, however often they are given", () => {
    const { lora, lora2 } = generate(
      ...["--lora", "a.safetensors", "--lora", "C:\\loras\\b.safetensors:0.8", "--lora", "c:d:-.5"],
      ...["--lora-2", "e.safetensors:2"],
    );
    expect(lora).toEqual([
      { path: "a.safetensors", weight: 1 },
      { path: "C:\\loras\\b.safetensors", weight: 0.8 },
      { path: "c:d", weight: -0.5 },
    ]);
    expect(lora2).toEqual([{ path: "e.safetensors", weight: 2 }]);
    expect(() => generate("--lora", "")).toThrow("--lora: expected a file");
    expect(() => generate("--lora", "a:1e999")).toThrow("--lora: expected a finite weight");
  });

  it("needs a prompt only with a model, and prints the compact mask once by default", () => {
    expect(generate().prompt).toBeUndefined();
    expect(generate("--show-mask-compact").showMaskCompact).toBe("once");
    expect(() => generate("--model", "m")).toThrow("--prompt: a prompt is needed");
    // An empty prompt is one.
    expect(generate("--model", "m", "--prompt", "").prompt).toBe("");
  });

  it.each<[string, number | bigint]>([
    ["-1", -1],
    ["9007199254740993", 9007199254740993n],
    ["18446744073709551615", 18446744073709551615n],
    ["-9223372036854775808", -9223372036854775808n],
  ])("takes the seed %s exactly", (digits, seed) => {
    expect(generate("--seed", digits).seed).toBe(seed);
    expect(generate(`--seed=${digits}`).seed).toBe(seed);
  });

  it.each([
    [["--num-frames", "1.5"], '--num-frames: expected a whole number of at least 1, got "1.5"'],
    [["--num-frames", "1e2"], "--num-frames"],
    [["--steps", "0"], "--steps"],
    [["--seed", "1e3"], '--seed: expected a whole number, got "1e3"'],
    [["--seed", "18446744073709551616"], "--seed: expected a seed from -2^63 to 2^64 - 1"],
    [["--guidance-2", "abc"], '--guidance-2: expected a number of at least 0, got "abc"'],
    [["--guidance", "nan"], "--guidance"],
    [["--fps", "0"], "--fps: expected a number above 0"],
    [["--sigmas", "1,x"], "--sigmas: "],
    [["--sigmas", "0.5,1"], "--sigmas: expected falling numbers from 1 to 0"],
    [["--boundary-step", "-1"], "--boundary-step: expected a whole number of at least 0"],
    [["--precision", "bf16"], "--precision: expected auto, f32 or f16"],
    [["--math", "f16"], "--math: expected auto, exact or fast"],
    [["--show-mask-compact", "often"], "--show-mask-compact: expected once or step"],
    [["--json", "--quiet"], "exclude each other"],
  ])("refuses %j", (args, message) => {
    expect(() => generate(...args)).toThrow(UsageError);
    expect(() => generate(...args)).toThrow(message);
  });

  it("names every bad option at once", () => {
    expect(() => generate("--steps", "x", "--width", "y")).toThrow(
      /--width[\s\S]*--steps|--steps[\s\S]*--width/,
    );
  });

  it("names options that do nothing", () => {
    expect(ignoredOptions(generate("--window-size", "8", "--show-mask", "--riflex-s", "2"))).toEqual([
      { names: ["--window-size", "--show-mask"], without: "--lvsa" },
      { names: ["--riflex-s"], without: "--riflex" },
    ]);
    expect(ignoredOptions(generate("--lvsa", "--window-size", "8"))).toEqual([]);
  });
});

describe("LVSA settings", () => {
  const settings = (...args: string[]) => {
    const { autoKeyframes, rotateKeyframes, keyFrameInterval, rotateGivenInterval } = parseLvsaConfig(
      lvsaConfigOf(generate("--lvsa", ...args)),
    );
    return {
      auto: autoKeyframes,
      rotate: rotateKeyframes,
      interval: keyFrameInterval,
      given: rotateGivenInterval,
    };
  };

  it("are automatic and rotating unless an interval or automatic ones are asked for", () => {
    expect(settings()).toMatchObject({ auto: true, rotate: true, interval: null });
    expect(settings("--auto-keyframes")).toMatchObject({ auto: true, rotate: false });
    expect(settings("--rotate-keyframes")).toMatchObject({ auto: true, rotate: true });
    expect(settings("--key-frame-interval", "16")).toMatchObject({
      auto: false,
      rotate: false,
      interval: 16,
    });
    expect(settings("--key-frame-interval", "0")).toMatchObject({ auto: false, rotate: false, interval: 0 });
  });

  it("rotate a given interval", () => {
    const rotating = settings("--key-frame-interval", "16", "--rotate-keyframes");
    expect(rotating).toEqual({ auto: false, rotate: true, interval: 16, given: true });
  });

  it("say nothing that was not said", () => {
    expect(lvsaConfigOf(generate("--lvsa"))).toEqual({});
  });
});

describe("lvsa plan", () => {
  it("takes several frame counts", () => {
    expect(plan("wan").numFrames).toEqual([]);
    expect(plan("wan", "--num-frames", "81,161").numFrames).toEqual([81, 161]);
    expect(() => plan("wan", "--num-frames", "81,x")).toThrow("--num-frames");
    expect(() => plan()).toThrow("--model");
  });
});

it("writes options as they are typed", () => {
  expect(["numFrames", "guidance2", "riflexTrainLen", "json", "mp4"].map(optionName)).toEqual([
    ...["--num-frames", "--guidance-2", "--riflex-train-len", "--json", "--mp4"],
  ]);
});

it("VERSION is that of package.json", () => {
  const file = new URL("../../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});

describe("defaults", () => {
  it("of plan are those of generate, compare and calibrate", () => {
    const planned: Record<string, unknown> = plan("wan");
    const run: Record<string, unknown> = generate("--model", "m", "--prompt", "p");
    for (const name of Object.keys(planned).filter((name) => name in run && name !== "model"))
      expect([name, planned[name]]).toEqual([name, run[name]]);
    const { precision, math, device } = run;
    expect(run).toMatchObject({ precision: "auto", math: "auto", device: "auto", lvsa: false });
    expect(planned).toMatchObject({ precision, math, device, lvsa: false });
    expect(parseCalibrateOptions({})).toMatchObject({ precision, math, device });
    expect(() => plan("wan", "--lvsa", "--dense")).toThrow("exclude each other");
  });
});
