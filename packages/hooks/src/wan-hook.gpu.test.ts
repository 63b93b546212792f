/** The Wan hook on the tiny checkpoint: what it computes, when it steps aside, and what is left when it goes. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createWanAdapter } from "@lvsa/adapter-wan";
import { type AttentionPattern, type EnginePlugin, installLvsa } from "@lvsa/core";
import { Engine, type GenerateOptions } from "@lvsa/diffusion";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type HookEvent, lvsaPlugin } from "./index.js";

const TINY = fileURLToPath(new URL("../../../fixtures/tiny-wan", import.meta.url));

/** Window, leading frames 1 and interval 4 in latent frames, for a model trained on 5. */
const ENV = {
  LVSA_WAN_HOOK: "1",
  LVSA_WINDOW_SIZE: "4",
  LVSA_N_FIRST_FRAMES: "4",
  LVSA_KEY_FRAME_INTERVAL: "16",
  LVSA_ROTATE_KEYFRAMES: "1",
  LVSA_REFERENCE_LATENT_FRAMES: "5",
} as const;

const CLIP = {
  prompt: "A cat walks in the garden.",
  numFrames: 37,
  height: 32,
  width: 48,
  numInferenceSteps: 2,
  maxSequenceLength: 32,
  seed: 3,
} as const satisfies GenerateOptions;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const open = (plugins: EnginePlugin[] = []) =>
  Engine.open(nodeFolder(TINY), { device, precision: "f32", plugins, registered: false });

async function latents(engine: Engine, options: Partial<GenerateOptions> = {}): Promise<Float32Array> {
  return (await engine.generate({ ...CLIP, ...options })).latents.data;
}

const dense = async (options: Partial<GenerateOptions> = {}) => {
  using engine = await open();
  return await latents(engine, options);
};

describe("LVSA_WAN_HOOK", () => {
  it("gives bit for bit the latents of the processor installed directly", async () => {
    const lines: string[] = [];
    using hooked = await open([lvsaPlugin({ env: ENV, logger: (line) => lines.push(line) })]);
    const byHook = await latents(hooked);
    using direct = await open();
    using _installed = installLvsa(direct.pipeline, createWanAdapter(), {
      config: {
        windowSize: 4,
        nFirstFrames: 4,
        keyFrameInterval: 16,
        rotateKeyframes: true,
        rotateGivenInterval: true,
        referenceLatentFrames: 5,
      },
    });
    expect(byHook).toEqual(await latents(direct));
    expect(byHook).not.toEqual(await dense());
    expect(lines).toEqual([
      "[LVSA-hook] Installed LVSA hook on WanSelfAttention (T_lat=auto, sparsity_scale=1.0)",
      "[LVSA] engaged (wan): T_lat=10 P=6 seq_len=60 kfi=4 W=1 |G|=3 -> SPARSE",
    ]);
  });

  it("is found by its package's name, and reads the environment of the process", async () => {
    vi.stubEnv("LVSA_WAN_HOOK", "1");
    vi.stubEnv("LVSA_WINDOW_SIZE", "4");
    vi.stubEnv("LVSA_REFERENCE_LATENT_FRAMES", "5");
    const options = { device, precision: "f32", registered: false, plugins: ["@lvsa/hooks"] } as const;
    using byName = await Engine.open(nodeFolder(TINY), options);
    const byEnvironment = await latents(byName);
    vi.unstubAllEnvs();
    using byOptions = await open([
      lvsaPlugin({ env: {}, families: ["wan"], windowSize: 4, referenceLatentFrames: 5 }),
    ]);
    expect(byEnvironment).toEqual(await latents(byOptions));
    expect(byEnvironment).not.toEqual(await dense());
    expect(byName.plugins).toEqual(["@lvsa/hooks"]);
  });

  it("unset or off is bit for bit dense", async () => {
    const reference = await dense();
    for (const env of [{}, { ...ENV, LVSA_WAN_HOOK: "0" }]) {
      using engine = await open([lvsaPlugin({ env })]);
      expect(await latents(engine)).toEqual(reference);
    }
  });

  it("removed at run time leaves dense attention and the memory level it found", async () => {
    using engine = await open();
    const reference = await latents(engine);
    await device.idle();
    const before = device.memory();
    const use = await engine.use(lvsaPlugin({ env: ENV }));
    expect(await latents(engine)).not.toEqual(reference);
    use[Symbol.dispose]();
    expect(engine.plugins).toEqual([]);
    expect(engine.attention.backends).toEqual(["DENSE"]);
    expect(await latents(engine)).toEqual(reference);
    await device.idle();
    const after = device.memory();
    expect({ live: after.liveBytes, pinned: after.pinnedBytes, tensors: after.liveTensors }).toEqual({
      live: before.liveBytes,
      pinned: before.pinnedBytes,
      tensors: before.liveTensors,
    });
  });

  it("names the install line when the adapter is missing", async () => {
    const missing = lvsaPlugin({
      env: ENV,
      packages: { wan: () => Promise.reject(new Error("Cannot find package")) },
    });
    await expect(open([missing])).rejects.toThrow(
      expect.objectContaining({ code: "ADAPTER_MISSING", fix: "npm install @lvsa/adapter-wan" }),
    );
  });

  it("refuses to start with a bad variable", async () => {
    await expect(open([lvsaPlugin({ env: { ...ENV, LVSA_WINDOW_SIZE: "x" } })])).rejects.toThrow(
      'LVSA_WINDOW_SIZE is "x"; expected a whole number of at least 0',
    );
  });

  it("says when the engine runs another model than the one that was asked for", async () => {
    const lines: string[] = [];
    using engine = await open([
      lvsaPlugin({ env: { LVSA_HUNYUAN_HOOK: "1" }, logger: (line) => lines.push(line) }),
    ]);
    expect(lines).toEqual(["[LVSA] Warning: LVSA_HUNYUAN_HOOK=1, but this engine runs a wan model: dense"]);
    expect(engine.plugins).toEqual(["@lvsa/hooks"]);
  });
});

describe("generations in one process", () => {
  const cases = referenceCases("wan")
    .map(({ directory }) => join(directory, "patterns.json"))
    .filter((file) => existsSync(file));

  it("the reference folder holds Wan patterns", () => {
    requireCases(cases);
  });

  it.each(["kfi4", "auto"] as const)("each has its own steps and patterns: %s", async (config) => {
    const { runs } = readJson<{ runs: Record<string, { attended_frames: Record<string, number[]> }> }>(
      cases[0]!,
    );
    const { LVSA_KEY_FRAME_INTERVAL: _, ...auto } = ENV;
    const events: HookEvent[] = [];
    using engine = await open([
      lvsaPlugin({
        env: { ...(config === "auto" ? auto : ENV), LVSA_MASK_LOG: "1" },
        logger: () => {},
        onEvent: (event) => events.push(event),
      }),
    ]);
    const steps = 3;
    // Two lengths, then the first again: the third run must not go on where the first ended.
    for (const [T, numFrames] of [
      [10, 37],
      [20, 77],
      [10, 37],
    ] as const) {
      events.length = 0;
      await latents(engine, { numFrames, numInferenceSteps: steps });
      const masks = events.filter((event) => event.type === "mask");
      expect(masks.map(({ step }) => step)).toEqual([0, 1, 2]);
      for (const { step, pattern } of masks) {
        expect(attended(pattern), `T=${T} step ${step}`).toEqual(
          runs[`T${T}.${config}.step${step}`]!.attended_frames,
        );
      }
      expect(events.filter(({ type }) => type === "engaged")).toHaveLength(1);
    }
  });
});

describe("stepping aside", () => {
  it("another length than LVSA_TOTAL_LATENT_FRAMES is dense with one line per generation, and an error when strict", async () => {
    const env = { ...ENV, LVSA_TOTAL_LATENT_FRAMES: "20" };
    const lines: string[] = [];
    using engine = await open([lvsaPlugin({ env, logger: (line) => lines.push(line) })]);
    const reference = await dense();
    expect(await latents(engine)).toEqual(reference);
    expect(await latents(engine)).toEqual(reference);
    const line =
      "[LVSA-FALLBACK] origin=wan_hook reason=geometry_mismatch seq_len=60 T_lat=20, full_seq=60, " +
      "distributed=False -- falling back to DENSE attention (set LVSA_WARN_FALLBACK=0 to silence)";
    expect(lines.slice(1)).toEqual([line, line]);

    using strict = await open([lvsaPlugin({ env: { ...env, LVSA_STRICT: "1" }, logger: () => {} })]);
    await expect(latents(strict)).rejects.toThrow(expect.objectContaining({ code: "DENSE_FALLBACK" }));
  });

  it("a mask is honoured: the layer's dense path computes the call", async () => {
    // Hides the last latent frame, as a host with padded clips would.
    const keyMask = new Uint8Array(60).fill(1, 0, 54);
    const lines: string[] = [];
    const masked = async (plugins: EnginePlugin[]) => {
      using engine = await open(plugins);
      engine.attention.addHook("padding", (call, next) =>
        next(call.module.role === "self" ? { ...call, keyMask } : call),
      );
      return await latents(engine);
    };
    const reference = await masked([]);
    expect(reference).not.toEqual(await dense());
    expect(await masked([lvsaPlugin({ env: ENV, logger: (line) => lines.push(line) })])).toEqual(reference);
    expect(lines[1]).toContain("origin=wan_hook reason=unsupported_call seq_len=60 mask=True");
  });

  it("LVSA_WARN_FALLBACK=0 silences the line, not the event", async () => {
    const lines: string[] = [];
    const events: HookEvent[] = [];
    using engine = await open([
      lvsaPlugin({
        env: { ...ENV, LVSA_TOTAL_LATENT_FRAMES: "20", LVSA_WARN_FALLBACK: "0" },
        logger: (line) => lines.push(line),
        onEvent: (event) => events.push(event),
      }),
    ]);
    await latents(engine, { numInferenceSteps: 1 });
    expect(lines.filter((line) => line.includes("FALLBACK"))).toEqual([]);
    // 2 layers, 2 passes.
    expect(events.filter(({ type }) => type === "fallback")).toHaveLength(4);
  });

  it("LVSA_AUTO=1 leaves clips within the training length dense, and takes longer ones", async () => {
    const lines: string[] = [];
    using engine = await open([
      lvsaPlugin({ env: { ...ENV, LVSA_AUTO: "1", LVSA_STRICT: "1" }, logger: (line) => lines.push(line) }),
    ]);
    const short = { numFrames: 17 };
    expect(await latents(engine, short)).toEqual(await dense(short));
    expect(await latents(engine)).not.toEqual(await dense());
    expect(lines.slice(1)).toEqual([
      "[LVSA] not engaged (wan): T_lat=5 <= ref=5 -> DENSE (LVSA_AUTO)",
      "[LVSA] engaged (wan): T_lat=10 P=6 seq_len=60 kfi=4 W=1 |G|=3 -> SPARSE",
    ]);
  });
});

describe("backend LVSA", () => {
  it("chosen for the self role computes what the hook computes", async () => {
    const { LVSA_WAN_HOOK: _, ...settings } = ENV;
    const lines: string[] = [];
    using engine = await Engine.open(nodeFolder(TINY), {
      device,
      precision: "f32",
      registered: false,
      plugins: [lvsaPlugin({ env: settings, logger: (line) => lines.push(line) })],
      attention: { perRole: { self: "LVSA" } },
    });
    using hooked = await open([lvsaPlugin({ env: ENV })]);
    expect(await latents(engine)).toEqual(await latents(hooked));
    expect(lines).toEqual([
      "[LVSA] engaged (wan): T_lat=10 P=6 seq_len=60 kfi=4 W=1 |G|=3 -> SPARSE",
      "[LVSA] Geometry detected: T_lat=10 P=6 video_seq=60 text=0 total=60",
    ]);
  });

  it("takes settings of its role", async () => {
    using engine = await Engine.open(nodeFolder(TINY), {
      device,
      precision: "f32",
      registered: false,
      plugins: [lvsaPlugin({ env: {} })],
      attention: {
        perRole: {
          self: {
            backend: "LVSA",
            extra: {
              window_size: 4,
              keyFrameInterval: 16,
              rotateKeyframes: true,
              reference_latent_frames: 5,
            },
          },
        },
      },
    });
    using hooked = await open([lvsaPlugin({ env: ENV })]);
    expect(await latents(engine)).toEqual(await latents(hooked));
  });
});

function attended(pattern: AttentionPattern): Record<string, number[]> {
  return Object.fromEntries(
    Array.from({ length: pattern.rows }, (_, row) => [String(row), [...pattern.attendedFrames(row)]]),
  );
}
