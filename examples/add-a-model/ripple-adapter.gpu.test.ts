// Step 4: the conformance run, and the whole model.
import { type InstallLvsaOptions, installLvsa } from "@lvsa/core";
import { adapterConformance, type ConformanceFixture, conformanceChecks } from "@lvsa/core/testing";
import { runMutants } from "@lvsa/core/testing/adapter-mutants";
import { resolveHooks } from "@lvsa/hooks";
import type { Device } from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as adapterModule from "./ripple-adapter.js";
import { rippleHook } from "./ripple-hook.js";
import { RIPPLE_CONFIG, RippleTransformer } from "./ripple-transformer.js";

const host = { spatialFactor: 8, temporalFactor: 4, transformerConfig: { ...RIPPLE_CONFIG } };
const width = RIPPLE_CONFIG.num_attention_heads * RIPPLE_CONFIG.attention_head_dim;
let device: Device;
let model: RippleTransformer;
let fixture: ConformanceFixture;

beforeAll(async () => {
  device = await testDevice();
  model = new RippleTransformer(device);
  fixture = {
    device,
    adapter: adapterModule.createRippleAdapter(),
    model,
    layers: ["blocks.0.attn", "blocks.1.attn"],
    // Worked out by hand from the model's code; take the numbers of a published checkpoint where there is one.
    known: [
      {
        host,
        ...{ numFrames: 97, height: 480, width: 832 },
        ...{ latentFrames: 25, patchesPerFrame: 30 * 52, referenceLatentFrames: 9 },
      },
    ],
    makeCall: (latentFrames, patchesPerFrame) => {
      const tokens = latentFrames * patchesPerFrame;
      return {
        device,
        family: "ripple",
        module: model.attentionModules()[0]!,
        hiddenStates: device.upload(seededNormal(tokens * width, 7), [1, tokens, width]),
        rotary: model.rotaryTables(tokens),
        geometry: { latentFrames, patchesPerFrame, height: 2, width: patchesPerFrame / 2 },
      };
    },
    release: ({ hiddenStates, rotary }) => {
      for (const tensor of [hiddenStates, rotary?.cos, rotary?.sin]) tensor?.dispose();
    },
  };
});
afterAll(() => {
  model.dispose();
  device.dispose();
});

describe("Ripple adapter conformance", () => {
  test.each(conformanceChecks())("%s", async (name) => {
    await adapterConformance(fixture)
      .find((check) => check.name === name)!
      .run();
  });

  test("notices every adapter that is wrong in one line", async () => {
    const { names, unnoticed } = await runMutants(fixture);
    expect(unnoticed).toEqual([]);
    expect(names.length).toBeGreaterThan(8);
  });
});

describe("the whole model", () => {
  /** `numFrames` video frames of 32 x 48 pixels through the model. */
  async function run(numFrames: number): Promise<Float32Array> {
    const latentFrames = fixture.adapter.latentFrames(numFrames, host);
    const patchesPerFrame = fixture.adapter.patchesPerFrame(32, 48, host);
    const tokens = latentFrames * patchesPerFrame;
    const input = device.upload(seededNormal(tokens * width, 11), [1, tokens, width]);
    const output = model.forward(input, { latentFrames, patchesPerFrame, height: 2, width: 3 });
    const values = await device.read(output);
    input.dispose();
    output.dispose();
    return values;
  }
  const install = (options?: InstallLvsaOptions) =>
    installLvsa({ transformers: [model], geometry: host }, fixture.adapter, { strict: true, ...options });

  test("sparse equals dense where the pattern attends to everything: up to the training length", async () => {
    const dense = await run(33);
    const lvsa = install();
    const sparse = await run(33);
    expect(lvsa.blocks).toBe(RIPPLE_CONFIG.num_layers);
    expect(lvsa.processor.pattern).toMatchObject({ frames: 9, isDense: true });
    lvsa[Symbol.dispose]();
    // The same f32 sums in another order.
    expect(relativeL2(sparse, dense)).toBeLessThan(1e-5);
  });

  test("beyond it frames are left out, and disposing brings dense attention back to the byte", async () => {
    const dense = await run(97);
    const lvsa = install();
    const sparse = await run(97);
    const density = lvsa.processor.pattern!.density;
    lvsa[Symbol.dispose]();
    // 25 latent frames: far from dense, and not by rounding.
    expect(density).toBeLessThan(0.6);
    expect(relativeL2(sparse, dense)).toBeGreaterThan(1e-3);
    expect(await run(97)).toEqual(dense);
  });

  test("the hook goes by its own variable and installs the same adapter", () => {
    const hooks = [rippleHook];
    expect(resolveHooks({ hooks, env: { LVSA_RIPPLE_HOOK: "1" } }).on).toEqual(hooks);
    expect(resolveHooks({ hooks, env: {} }).on).toEqual([]);
    const target = rippleHook.target(adapterModule, { transformers: [model], geometry: host });
    expect(target).toMatchObject({ referenceLatentFrames: 9, temporalFactor: 4 });
    const installed = target.install({});
    expect(installed.blocks).toBe(RIPPLE_CONFIG.num_layers);
    expect(() => install()).toThrow(expect.objectContaining({ code: "LAYER_CLAIMED" }));
    installed[Symbol.dispose]();
  });
});
