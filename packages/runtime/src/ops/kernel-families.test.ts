/** Every rule of every family: its shaders compile for the devices that would run them, and keys tell texts apart. */
import { describe, expect, test } from "vitest";
import { KernelChooser } from "../kernel/kernel-family.js";
import { describeKernelFamilies } from "../testing/kernel-family-suite.js";
import { PRETEND_DEVICES } from "../testing/pretend-device.js";
import { convFamily } from "./conv/conv-family.js";
import { RUNTIME_KERNELS } from "./kernel-families.js";
import { linearFamily } from "./linear/linear-family.js";
import { rowNormFamily } from "./norm/row-norm-family.js";

const dtypes = ["f32", "f16", "bf16"] as const;
const size = { M: 4096, N: 1536, K: 1536 };

/** Beside the typical uses: every dtype, and every part that the shader text depends on. */
const more: Readonly<Record<string, readonly { name: string; shape: unknown; size: unknown }[]>> = {
  linear: [
    ...dtypes.flatMap((x) =>
      dtypes.flatMap((weight) =>
        [true, false].map((aligned) => ({
          name: `${x} by ${weight}${aligned ? "" : ", odd"}`,
          shape: { x, weight, out: x, alignedK: aligned, alignedN: aligned },
          size: aligned ? size : { M: 4097, N: 1535, K: 1535 },
        })),
      ),
    ),
    ...(["gelu", "gelu_tanh", "silu", "relu", "relu2"] as const).map((activation) => ({
      name: activation,
      shape: { x: "f16", weight: "bf16", out: "f32", alignedK: true, alignedN: true, activation },
      size,
    })),
    ...dtypes.map((part) => ({
      name: `everything, ${part}`,
      shape: {
        x: "f16",
        weight: "f16",
        out: part,
        alignedK: true,
        alignedN: true,
        bias: part,
        multiply: part,
        gate: part,
        residual: part,
      },
      size,
    })),
    {
      name: "few rows",
      shape: { x: "f32", weight: "bf16", out: "f32", alignedK: true, alignedN: true },
      size: { M: 4, N: 64, K: 64 },
    },
  ],
  conv3d: [
    ...dtypes.flatMap((x) =>
      (["zeros", "replicate"] as const).map((pad) => ({
        name: `${x}, ${pad}`,
        shape: {
          x,
          weight: x,
          out: x,
          history: pad === "zeros",
          padTime: pad,
          padSpace: pad,
          alignedN: true,
        },
        size: { positions: 6240, outChannels: 192, inChannels: 96, taps: 27 },
      })),
    ),
    {
      name: "in place, 32 channels",
      shape: {
        x: "f16",
        weight: "f16",
        out: "f32",
        history: false,
        padTime: "zeros",
        padSpace: "zeros",
        alignedN: true,
        residual: "in_place",
      },
      size: { positions: 6240, outChannels: 32, inChannels: 96, taps: 9 },
    },
  ],
  "row-norm": (["rms", "l2", "layer"] as const).flatMap((kind) =>
    [1536, 128, 8, 3].map((channels) => ({
      name: `${kind} of ${channels}`,
      shape: { kind, x: "f32", y: "f16", tables: { weight: "bf16" }, activation: "silu", inPlace: false },
      size: { rows: 4096, channels },
    })),
  ),
  "group-norm": [{ name: "bf16", shape: { x: "bf16", vector: false }, size: { positions: 4096, width: 2 } }],
};

describeKernelFamilies(RUNTIME_KERNELS, more);

describe("choosing", () => {
  const shape = { x: "f16", weight: "f16", out: "f16", alignedK: true, alignedN: true } as const;
  const nvidia = PRETEND_DEVICES.nvidia!;

  test("exact math refuses kernels that round operands, and says so", () => {
    const rounding = { ...linearFamily.rules.at(-1)!, id: "rounding", precision: "f16" as const };
    const family = { ...linearFamily, rules: [rounding, ...linearFamily.rules] };
    const rule = (math: "exact" | "fast") => new KernelChooser(nvidia, { math }).choose(family, shape, size);
    expect(rule("fast").rule).toBe("rounding");
    expect(rule("exact").rule).toBe("tile-f16");
    expect(rule("exact").rejected).toContainEqual({
      rule: "rounding",
      reason: "rounds operands to f16, and math is exact",
    });
  });

  test("an override runs whatever the device prefers, and is an error where it can not", () => {
    const lavapipe = new KernelChooser(PRETEND_DEVICES.lavapipe!, { math: "exact" });
    expect(lavapipe.choose(linearFamily, shape, size).rule).toBe("lanes");
    expect(lavapipe.choose(linearFamily, shape, size, "tile-f16").rule).toBe("tile-f16");
    const core = new KernelChooser(PRETEND_DEVICES.core!, { math: "exact" });
    const message = (rule: string) => () => core.choose(linearFamily, shape, size, rule);
    expect(message("tile-f16")).toThrow(/linear can not run tile-f16: the device has no f16/);
    expect(message("gemv")).toThrow(/linear can not run gemv: for up to 8 rows/);
    expect(message("tiles")).toThrow(/its rules are gemv, matrix-f16, matrix-f32, lanes/);
  });

  test("a rule of the device's options comes first where it fits", () => {
    const chooser = new KernelChooser(nvidia, { math: "fast", rules: { linear: "gemv", conv3d: "tile" } });
    expect(chooser.choose(linearFamily, shape, { ...size, M: 1 }).rule).toBe("gemv");
    const large = chooser.choose(linearFamily, shape, size);
    expect(large.rule).toBe("matrix-f16");
    expect(large.rejected[0]).toEqual({ rule: "gemv", reason: "for up to 8 rows" });
    const conv = { x: "f16", weight: "f16", out: "f16", history: false, alignedN: true } as const;
    const shapes = { ...conv, padTime: "zeros", padSpace: "zeros" } as const;
    const convSize = { positions: 100, outChannels: 64, inChannels: 64, taps: 27 };
    expect(chooser.choose(convFamily, shapes, convSize)).toMatchObject({ rule: "tile", rejected: [] });
    expect(() =>
      new KernelChooser(PRETEND_DEVICES.core!, { math: "fast", rules: { linear: "lanes" } }).choose(
        linearFamily,
        shape,
        size,
      ),
    ).toThrow(expect.objectContaining({ code: "KERNEL_RULE" }));
  });

  test("uses are counted by rule", () => {
    const chooser = new KernelChooser(nvidia, { math: "fast" });
    const norm = {
      kind: "rms",
      x: "f32",
      y: "f32",
      tables: {},
      activation: undefined,
      inPlace: false,
    } as const;
    for (const channels of [1536, 128, 3]) chooser.choose(rowNormFamily, norm, { rows: 10, channels });
    expect(chooser.uses().map(({ rule, count }) => [rule, count])).toEqual([
      ["shared", 2],
      ["elements", 1],
    ]);
    expect(chooser.uses()[1]!.rejected[0]).toEqual({
      rule: "shared",
      reason: "3 channels are no multiple of 4",
    });
  });
});
