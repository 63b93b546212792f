/** The Python plugin's attention backend, call by call, on Q, K and V of a host that gives no geometry and no step. */
import type { Device, Tensor } from "@lvsa/runtime";
import { goldenCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BACKEND_NAME, HookLog, registerLvsaBackend, resolveHooks, SparseAttention } from "./index.js";

interface Input {
  readonly env: Readonly<Record<string, string>>;
  /** Set by code in the original; its variable wins over it. */
  readonly tracked_total_frames: number | null;
  readonly calls: readonly [number, number][];
}
interface CallOutput {
  readonly route: "lvsa" | "dense";
  readonly text: string;
  readonly pattern: {
    readonly T: number;
    readonly P: number;
    readonly W: number;
    readonly kfi: number;
    readonly expand: boolean;
    readonly globals: readonly number[];
  } | null;
}

const cases = goldenCases<Input, CallOutput[]>("pattern/backend_routing.json");
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Lines that only one of the two has, with the reason. */
const ONLY_THEIRS = [
  // Once per process, for ever; here once per layout, so that a second layout is not a secret.
  /^\[LVSA\] Geometry detected.*\n/gm,
  // There is no such kernel to miss: the variable is named as without effect when it is read.
  /^\[LVSA\] LVSA_BACKEND=flashinfer.*\n/gm,
];
const ONLY_OURS = [
  /^\[LVSA\] Geometry detected.*\n/gm,
  // The backend of the original never says that it engaged.
  /^\[LVSA\] engaged.*\n/gm,
];

const without = (text: string, lines: readonly RegExp[]) =>
  lines.reduce((rest, line) => rest.replace(line, ""), text);

describe("backend LVSA", () => {
  it("there are cases", () => requireCases(cases));

  it.each(cases.map(({ input, output }) => ({ ...input, output })))("$env $calls", (golden) => {
    const { env, tracked_total_frames, calls, output } = golden;
    const frames = env.LVSA_TOTAL_LATENT_FRAMES ?? tracked_total_frames?.toString();
    const given = {
      LVSA_WAN_HOOK: "1",
      ...env,
      ...(frames === undefined ? {} : { LVSA_TOTAL_LATENT_FRAMES: frames }),
    };
    const read = () => resolveHooks({ env: given }).settings;
    if (frames === "0" || env.LVSA_BACKEND === "bogus") {
      // Dense for ever, or another kernel than was asked for, without a word: refused here.
      expect(read).toThrow(/is "(0|bogus)"; expected/);
      return;
    }
    const settings = read();
    let text = "";
    using attention = new SparseAttention({
      family: "wan",
      origin: "forward_cuda",
      counter: "backend",
      settings,
      model: { referenceLatentFrames: 21, temporalFactor: 4 },
      log: new HookLog({
        logger: (line) => {
          text += `${line}\n`;
        },
      }),
    });
    const patches = settings.patchesPerFrame?.[0];
    for (const [i, [queries, keys]] of calls.entries()) {
      const expected = output[i]!;
      text = "";
      // The text the original guesses; a host must say it.
      const textTokens = expected.route === "lvsa" ? queries - settings.totalLatentFrames! * patches! : 0;
      const shape = (tokens: number): Tensor => device.zeros([1, tokens, 2, 8]);
      const result = device.scope(() => {
        const out = attention.attend(device, {
          layer: "one",
          query: shape(queries),
          key: shape(keys),
          value: shape(keys),
          textTokens,
        });
        expect(out ? out.shape : undefined).toEqual(
          expected.route === "lvsa" ? [1, queries, 2, 8] : undefined,
        );
        return undefined;
      });
      expect(result).toBeUndefined();
      const label = `call ${i}`;
      if (expected.route === "dense" && patches === undefined && settings.totalLatentFrames !== undefined) {
        // The original compares with 1560, the tokens of one size of one model.
        expect(text.replace(/^.*\n/, ""), label).toBe("");
        if (text) expect(text, label).toContain("reason=no_geometry");
        continue;
      }
      expect(without(text, ONLY_OURS), label).toBe(without(expected.text, ONLY_THEIRS));
      if (expected.pattern && expected.route === "lvsa") {
        const p = attention.pattern!;
        const ours = {
          ...{ T: p.frames, P: p.patchesPerFrame, W: p.window, kfi: p.keyframeInterval },
          ...{ expand: p.expandWindow, globals: [...p.globalFrames] },
        };
        // LVSA_EXPAND_WINDOW is honoured here; the original parses it and never looks at it.
        const expand = env.LVSA_EXPAND_WINDOW !== "0";
        // Rotation is on here where nothing is said about it: then only the first step's frames are the same.
        const rotates = settings.rotateKeyframes ?? settings.autoKeyframes === undefined;
        const isFirst = attention.pattern!.rotationOffset === 0;
        expect({ ...ours, expand: p.expandWindow }, label).toEqual({
          ...expected.pattern,
          expand,
          ...(rotates && !isFirst && env.LVSA_ROTATE_KEYFRAMES === undefined
            ? { globals: ours.globals }
            : {}),
        });
      }
    }
  });

  it("takes surplus tokens for text only when the host says so", () => {
    const { settings } = resolveHooks({
      env: { LVSA_TOTAL_LATENT_FRAMES: "5", LVSA_PATCHES_PER_FRAME: "4" },
    });
    using attention = new SparseAttention({
      family: "wan",
      origin: "forward_cuda",
      counter: "backend",
      settings,
      model: { referenceLatentFrames: 21, temporalFactor: 4 },
      log: new HookLog({}),
    });
    const call = {
      layer: 0,
      query: device.zeros([1, 27, 2, 8]),
      key: device.zeros([1, 27, 2, 8]),
      value: device.zeros([1, 27, 2, 8]),
    };
    expect(attention.attend(device, call)).toBeUndefined();
    expect(attention.attend(device, { ...call, textTokens: 7 })?.shape).toEqual([1, 27, 2, 8]);
  });

  it("is registered by the original's name, for every head size that dense attention takes", async (context) => {
    const [info] = goldenCases<object, { name: string; head_sizes: number[] }>("pattern/backend_info.json");
    if (!info) return context.skip("the reference folder does not describe the original's backend");
    const registered: [string, { headDims?: readonly number[] }][] = [];
    using _backend = await registerLvsaBackend(
      {
        attention: {
          registerBackend: (name: string, backend: { headDims?: readonly number[] }) => {
            registered.push([name, backend]);
            return { [Symbol.dispose]() {} };
          },
        } as never,
        pipeline: {
          family: "wan",
          transformers: [],
          geometry: { spatialFactor: 8, temporalFactor: 4, transformerConfig: {} },
        },
      },
      { resolved: resolveHooks({ env: {} }), log: new HookLog({}) },
    );
    expect(registered.map(([name]) => name)).toEqual([info.output.name]);
    expect(BACKEND_NAME).toBe(info.output.name);
    // The list of the original is that of its CUDA kernels (64, 96, 128, 192, 256); tiny models have other sizes.
    expect(registered[0]![1].headDims).toBeUndefined();
  });
});
