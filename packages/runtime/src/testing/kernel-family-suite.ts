/** Tests that every family of kernels must pass, whatever its operation. Snapshots lie beside the test that calls this. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AnyKernelFamily, KernelChooser } from "../kernel/kernel-family.js";
import { PRETEND_DEVICES } from "./pretend-device.js";
import { ShaderCompiler, shaderCases, workgroupVariables } from "./shader-job.js";

export interface NamedUse {
  readonly name: string;
  readonly shape: unknown;
  readonly size: unknown;
}

/**
 * Compiles every rule for the devices that would run it, and holds keys, bindings, workgroup memory and texts.
 * @param more uses beside the families' typical ones, by family name
 */
export function describeKernelFamilies(
  families: readonly AnyKernelFamily[],
  more: Readonly<Record<string, readonly NamedUse[]>>,
): void {
  let compiler: ShaderCompiler;
  beforeAll(async () => {
    compiler = await ShaderCompiler.open();
  });
  afterAll(() => compiler.dispose());

  test("the compiler tells a wrong shader", async () => {
    expect(await compiler.errors("fn main() { nonsense(); }")).toEqual([expect.stringMatching(/nonsense/)]);
  });

  describe.each(families.map((family) => [family.name, family] as const))("%s", (name, family) => {
    const cases = shaderCases(family, more[name]);

    test("every rule has shaders here, and all compile", async () => {
      expect(new Set(cases.map(({ rule }) => rule))).toEqual(new Set(family.rules.map(({ id }) => id)));
      for (const { label, source } of new Map(cases.map((c) => [c.source, c])).values()) {
        expect(await compiler.errors(source), label).toEqual([]);
      }
    });

    test("a key stands for one text, and a text has one key", () => {
      const texts = new Map<string, string>();
      for (const { kernel, source, label } of cases) {
        const key = `${kernel.name}|${kernel.key}`;
        expect(texts.get(key) ?? source, label).toBe(source);
        texts.set(key, source);
      }
      expect(new Set(texts.values()).size).toBe(texts.size);
    });

    test("bindings and workgroup memory are within what the device has", () => {
      for (const { device, kernel, source, label } of cases) {
        expect(kernel.bindings.length, label).toBeLessThanOrEqual(
          device.limits.maxStorageBuffersPerShaderStage,
        );
        const bytes = [...workgroupVariables(source).values()].reduce((a, b) => a + b, 0);
        expect(bytes, label).toBeLessThanOrEqual(device.limits.maxComputeWorkgroupStorageSize);
        const [, threads] = source.match(/@workgroup_size\((\d+)\)/)!;
        expect(Number(threads), label).toBeLessThanOrEqual(device.limits.maxComputeInvocationsPerWorkgroup);
      }
    });

    // Matrices are loaded from addresses that must be multiples of 16 bytes; WGSL promises only the element's size.
    test("workgroup variables beside matrices are multiples of 16 bytes, and matrices begin with a value", () => {
      for (const { kernel, source, label } of cases) {
        if (!kernel.enables?.includes("chromium_experimental_subgroup_matrix")) continue;
        for (const [variable, bytes] of workgroupVariables(source)) {
          expect(bytes % 16, `${label}: ${variable}`).toBe(0);
        }
        expect(source, label).not.toMatch(/var \w+: subgroup_matrix/);
      }
    });

    test.each(family.rules.map(({ id }) => id))("text of %s", async (rule) => {
      const { source } = cases.find((c) => c.rule === rule)!;
      await expect(source).toMatchFileSnapshot(`__snapshots__/${name}.${rule}.wgsl`);
    });

    test("the last rule runs everywhere, and every rule that is passed over says why", () => {
      const last = family.rules.at(-1)!;
      for (const device of Object.values(PRETEND_DEVICES)) {
        expect(last.requires(device)).toBeUndefined();
        const chooser = new KernelChooser(device, { math: "fast" });
        for (const { shape, size } of family.typical) {
          const { rule, rejected } = chooser.choose(family as AnyKernelFamily, shape, size);
          const before = family.rules.slice(
            0,
            family.rules.findIndex(({ id }) => id === rule),
          );
          expect(rejected.map((r) => r.rule).sort()).toEqual(before.map(({ id }) => id).sort());
          for (const { reason } of rejected) expect(reason).toMatch(/\w+ \w+/);
        }
      }
    });
  });
}
