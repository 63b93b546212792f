/** Shaders of every rule of a kernel family, for devices that are not here, and a compiler that needs no GPU. */
import type { DeviceCapabilities } from "../device/device-info.js";
import { type Kernel, kernelSource } from "../kernel/kernel.js";
import type { KernelFamily, TypicalUse } from "../kernel/kernel-family.js";
import { importWebGpu } from "../node/list-adapters.js";
import { PRETEND_DEVICES } from "./pretend-device.js";

export interface ShaderCase {
  readonly rule: string;
  readonly device: DeviceCapabilities;
  /** Rule, use and device in words. */
  readonly label: string;
  readonly kernel: Kernel;
  readonly source: string;
}

/** Every rule by every use by every pretended device that can run it. */
export function shaderCases<Shape, Size, Variant>(
  family: KernelFamily<Shape, Size, Variant>,
  more: readonly TypicalUse<Shape, Size>[] = [],
): ShaderCase[] {
  const cases: ShaderCase[] = [];
  for (const rule of family.rules) {
    for (const [name, device] of Object.entries(PRETEND_DEVICES)) {
      if (rule.requires(device) !== undefined) continue;
      for (const use of [...family.typical, ...more]) {
        if (rule.fits(use.shape, use.size, device) !== undefined) continue;
        const kernel = family.kernel(use.shape, rule.variant(use.shape, use.size, device)) as Kernel;
        const label = `${family.name}: ${rule.id}, ${use.name}, ${name}`;
        cases.push({ rule: rule.id, device, label, kernel, source: kernelSource(kernel) });
      }
    }
  }
  return cases;
}

/** Bytes of each variable in workgroup memory, by name; types as our shaders declare them. */
export function workgroupVariables(source: string): ReadonlyMap<string, number> {
  const bytes: Readonly<Record<string, number>> = {
    f32: 4,
    u32: 4,
    "atomic<u32>": 4,
    f16: 2,
    vec2f: 8,
    "vec4<f16>": 8,
    vec4f: 16,
  };
  const found = new Map<string, number>();
  for (const [line, name, type, count] of source.matchAll(
    /var<workgroup> (\w+): array<(\w+(?:<\w+>)?), (\d+)>/g,
  )) {
    const element = bytes[type!];
    if (element === undefined) throw new Error(`no size is known for ${line}`);
    found.set(name!, element * Number(count));
  }
  const declared = source.match(/var<workgroup>/g)?.length ?? 0;
  if (declared !== found.size) throw new Error(`${declared} workgroup variables, ${found.size} understood`);
  return found;
}

/** Dawn's null backend: takes every feature, validates, computes nothing. */
export class ShaderCompiler {
  readonly #device: GPUDevice;
  // The process dies when this object is collected before its device.
  readonly #gpu: GPU;

  private constructor(gpu: GPU, device: GPUDevice) {
    this.#gpu = gpu;
    this.#device = device;
  }

  static async open(): Promise<ShaderCompiler> {
    const { create } = await importWebGpu();
    const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error("Dawn has no null backend");
    const wanted = [
      "shader-f16",
      "subgroups",
      "chromium-experimental-subgroup-matrix",
      "subgroup-size-control",
    ];
    const requiredFeatures = wanted.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
    if (requiredFeatures.length < wanted.length)
      throw new Error(`the null backend has only ${requiredFeatures}`);
    return new ShaderCompiler(gpu, await adapter.requestDevice({ requiredFeatures }));
  }

  /** Error messages with their lines; none for a good shader. */
  async errors(source: string): Promise<string[]> {
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ code: source });
    const info = await module.getCompilationInfo();
    await this.#device.popErrorScope();
    const lines = source.split("\n");
    return info.messages
      .filter(({ type }) => type === "error")
      .map(({ lineNum, message }) => `line ${lineNum}: ${message}\n${lines[lineNum - 1]}`);
  }

  dispose(): void {
    this.#device.destroy();
    void this.#gpu;
  }
}
