import { AttentionDispatcher } from "@lvsa/core";
import { describe, expect, it } from "vitest";
import {
  defineAdapterHook,
  defineHook,
  type HookHost,
  listHooks,
  loadPackage,
  lvsaPlugin,
  registerHook,
  resolveHooks,
} from "./index.js";
import { fakeEngine } from "./testing-support/fake-engine.js";

const host = (transformerConfig: Record<string, unknown>, referenceLatentFrames?: number): HookHost => ({
  transformers: [],
  geometry: { spatialFactor: 8, temporalFactor: 4, referenceLatentFrames, transformerConfig },
});

describe("defaults", () => {
  // Never one number for all models.
  it.each([
    ["wan", {}, undefined, 21],
    ["wan", {}, 31, 31],
    ["hunyuan", {}, undefined, 33],
    ["cogvideox", { patch_size_t: null, sample_frames: 49 }, undefined, 13],
    ["cosmos3", {}, 48, 48],
    ["cosmos3", {}, 31, 31],
  ])("%s %j was trained on %j, that is %i latent frames", async (family, config, stated, frames) => {
    const hook = listHooks().find((one) => one.family === family)!;
    const target = hook.target(await loadPackage(hook), host(config, stated));
    expect(target).toMatchObject({
      referenceLatentFrames: frames,
      temporalFactor: 4,
      defaults: { windowSize: 12, nFirstFrames: 4 },
    });
  });
});

it("Cosmos 3 needs a host that knows its models", async () => {
  const hook = listHooks().find(({ family }) => family === "cosmos3")!;
  const module = await loadPackage(hook);
  expect(() => hook.target(module, host({}))).toThrow(
    expect.objectContaining({ code: "NO_REFERENCE_FRAMES" }),
  );
});

describe("hooks", () => {
  it("are listed in the order of the Python plugin, with CogVideoX added", () => {
    expect(listHooks().map(({ variable }) => variable)).toEqual([
      "LVSA_HUNYUAN_HOOK",
      "LVSA_WAN_HOOK",
      "LVSA_COGVIDEOX_HOOK",
      "LVSA_COSMOS3_HOOK",
    ]);
  });

  it("of one's own listen to their variable, or to `families`", async () => {
    let installed = 0;
    const mine = defineHook({
      family: "mymodel",
      variable: "LVSA_MYMODEL_HOOK",
      packageName: "mymodel-adapter",
      layer: "MyAttention",
      target: () => ({
        referenceLatentFrames: 7,
        temporalFactor: 4,
        install: () => {
          installed++;
          return { blocks: 2, [Symbol.dispose]() {} };
        },
      }),
    });
    const packages = { mymodel: async () => ({}) };
    for (const options of [{ env: { LVSA_MYMODEL_HOOK: "1" } }, { env: {}, families: ["mymodel"] }]) {
      const { engine, lines } = fakeEngine("mymodel", new AttentionDispatcher());
      using _plugin = await lvsaPlugin({ ...options, hooks: [mine], packages }).setup(engine);
      expect(lines).toEqual(["[LVSA-hook] Installed LVSA hook on MyAttention (T_lat=auto)"]);
    }
    const { engine, lines } = fakeEngine("mymodel", new AttentionDispatcher());
    using _off = await lvsaPlugin({ env: {}, hooks: [mine], packages }).setup(engine);
    expect([installed, lines]).toEqual([2, []]);
    await expect(
      lvsaPlugin({ env: { LVSA_MYMODEL_HOOK: "on" }, hooks: [mine], packages }).setup(engine),
    ).rejects.toThrow('LVSA_MYMODEL_HOOK is "on"');
  });

  it("that a package registered listen to their variable until they are taken back", async () => {
    let installed = 0;
    const mine = defineHook({
      ...{ family: "mymodel", variable: "LVSA_MYMODEL_HOOK", packageName: "mymodel", layer: "MyAttention" },
      load: async () => ({ answer: 42 }),
      target: (module) => {
        expect(module.answer).toBe(42);
        const install = () => {
          installed++;
          return { blocks: 2, [Symbol.dispose]() {} };
        };
        return { referenceLatentFrames: 7, temporalFactor: 4, install };
      },
    });
    // The plugin of a process exists before packages add to it.
    const plugin = lvsaPlugin(resolveHooks({ env: { LVSA_MYMODEL_HOOK: "1", LVSA_WINDOW_SIZE: "8" } }));
    const registration = registerHook(mine);
    expect(listHooks()[0]).toBe(mine);
    const { engine, lines } = fakeEngine("mymodel", new AttentionDispatcher());
    (await plugin.setup(engine))[Symbol.dispose]();
    expect(lines).toEqual(["[LVSA-hook] Installed LVSA hook on MyAttention (T_lat=auto)"]);
    registration[Symbol.dispose]();
    expect(listHooks()).toHaveLength(4);
    (await plugin.setup(engine))[Symbol.dispose]();
    expect(lines[1]).toContain("unknown variable LVSA_MYMODEL_HOOK");
    expect(installed).toBe(1);
  });

  it("that a package registers for a known family take its place", () => {
    const mine = { ...listHooks().find(({ family }) => family === "wan")!, packageName: "better-wan" };
    using _mine = registerHook(mine);
    expect(listHooks().filter(({ family }) => family === "wan")).toEqual([mine]);
  });

  it("go by a variable of their own form", () => {
    const hook = { ...listHooks()[0]!, family: "my-model", variable: "MYMODEL" };
    expect(() => defineHook(hook)).toThrow(
      expect.objectContaining({ code: "HOOK_VARIABLE", fix: "Name it LVSA_MY_MODEL_HOOK." }),
    );
  });

  it("name both owners when somebody has the layers", async () => {
    const { engine } = fakeEngine("wan", new AttentionDispatcher());
    const layer = engine.pipeline.transformers[0]!.attentionModules()[1]!;
    using _taken = engine.attention.claim(layer, "another-plugin", (call, next) => next(call));
    await expect(lvsaPlugin({ env: { LVSA_WAN_HOOK: "1" } }).setup(engine)).rejects.toThrow(
      "both another-plugin and @lvsa/hooks want the attention layer blocks.1",
    );
    // Nothing of the attempt stays behind.
    expect(engine.attention.backends).toEqual(["DENSE"]);
    engine.attention.claim(engine.pipeline.transformers[0]!.attentionModules()[0]!, "free", (call, next) =>
      next(call),
    );
  });

  it("refuse a model that has no layer for them", async () => {
    for (const [family, variable] of [
      ["wan", "LVSA_WAN_HOOK"],
      ["hunyuan", "LVSA_HUNYUAN_HOOK"],
      ["cogvideox", "LVSA_COGVIDEOX_HOOK"],
      ["cosmos3", "LVSA_COSMOS3_HOOK"],
    ] as const) {
      const attention = new AttentionDispatcher();
      const { engine } = fakeEngine(family, attention, "audio");
      const setup = lvsaPlugin({ env: { [variable]: "1" } }).setup(engine);
      await expect(setup, family).rejects.toThrow(
        expect.objectContaining({
          code: "NO_LAYERS",
          message: `the ${family} model has no attention layer for LVSA to take; its layers have the roles audio`,
        }),
      );
      expect(attention.backends).toEqual(["DENSE"]);
      const empty = { ...engine, pipeline: { ...engine.pipeline, transformers: [] } };
      await expect(lvsaPlugin({ env: { [variable]: "1" } }).setup(empty), family).rejects.toThrow(
        expect.objectContaining({ code: "NO_LAYERS" }),
      );
    }
  });

  it("refuse an adapter of another family", async () => {
    const mine = defineAdapterHook({
      family: "mymodel",
      variable: "LVSA_MYMODEL_HOOK",
      packageName: "@lvsa/adapter-wan",
      layer: "MyAttention",
      create: "createWanAdapter",
    });
    const { engine, claimed } = fakeEngine("mymodel", new AttentionDispatcher(), "self");
    await expect(
      lvsaPlugin({ env: { LVSA_MYMODEL_HOOK: "1" }, hooks: [mine] }).setup(engine),
    ).rejects.toThrow(
      expect.objectContaining({
        code: "ADAPTER_FAMILY",
        message: "LVSA for wan models does not fit a mymodel model",
      }),
    );
    expect(claimed()).toEqual([]);
    // A pipeline whose transformers are of another family than it says: the family's own hook refuses it too.
    for (const { family, variable } of listHooks()) {
      const other = fakeEngine("mymodel", new AttentionDispatcher(), "self").engine;
      const mislabelled = { ...other, pipeline: { ...other.pipeline, family } };
      await expect(lvsaPlugin({ env: { [variable]: "1" } }).setup(mislabelled), family).rejects.toThrow(
        expect.objectContaining({ code: "ADAPTER_FAMILY" }),
      );
    }
  });

  it("in browsers take options in place of the environment", async () => {
    const { engine, lines } = fakeEngine("wan", new AttentionDispatcher());
    using _plugin = await lvsaPlugin({ env: {}, families: ["wan"], sparsityScale: 0.5 }).setup(engine);
    expect(lines).toEqual([
      "[LVSA-hook] Installed LVSA hook on WanSelfAttention (T_lat=auto, sparsity_scale=0.5)",
    ]);
  });
});
