/**
 * A kernel family is one operation with several kernels: rules, best first, say which kernel a device runs for a shape.
 * A new tier of kernels is one rule and one body. Every rule that is passed over says why.
 */
import type { DeviceCapabilities } from "../device/device-info.js";
import { DeviceError } from "../errors.js";
import type { Kernel, ParamTypes } from "./kernel.js";

/** `f32`: operands keep their values. `f16`: operands are rounded to f16 before they are multiplied. Sums are f32. */
export type KernelPrecision = "f32" | "f16";

/** `exact`: only kernels of precision `f32`. `fast`: f16 products, too. */
export type KernelMath = "exact" | "fast";

export interface KernelRule<Shape, Size, Variant> {
  /** Unique in the family, e.g. `tile` or `lanes`. */
  readonly id: string;
  readonly precision: KernelPrecision;
  /** Why a device can not run it; undefined: it can. */
  requires(device: DeviceCapabilities): string | undefined;
  /** Why a device that could run it does better without; undefined: it does not. An override does not ask. */
  avoids?(device: DeviceCapabilities): string | undefined;
  /** Why it does not suit a shape and size; undefined: it does. Asked only on devices that can run it. */
  fits(shape: Shape, size: Size, device: DeviceCapabilities): string | undefined;
  /** The kernel's own sizes. Asked only where it fits. */
  variant(shape: Shape, size: Size, device: DeviceCapabilities): Variant;
}

/** A use of the operation that stands for many: what `lvsa doctor` prints, and what tests compile. */
export interface TypicalUse<Shape, Size> {
  readonly name: string;
  readonly shape: Shape;
  readonly size: Size;
}

/**
 * `Shape` is what the shader text depends on (stored types, fused steps); `Size` are numbers that travel as parameters;
 * `Variant` is the chosen kernel with its tile sizes, as plain data.
 */
export interface KernelFamily<Shape, Size, Variant, P extends ParamTypes = ParamTypes> {
  readonly name: string;
  /** Best first. The last one has no requirements and fits everything. */
  readonly rules: readonly KernelRule<Shape, Size, Variant>[];
  readonly typical: readonly TypicalUse<Shape, Size>[];
  kernel(shape: Shape, variant: Variant): Kernel<P>;
}

/** Any family, for lists of them. */
export type AnyKernelFamily = KernelFamily<unknown, unknown, unknown>;

/** Identity with inference: checks a family's types where it is written. */
export function defineKernelFamily<Shape, Size, Variant, P extends ParamTypes>(
  family: KernelFamily<Shape, Size, Variant, P>,
): KernelFamily<Shape, Size, Variant, P> {
  return family;
}

export interface RejectedRule {
  readonly rule: string;
  readonly reason: string;
}

export interface KernelChoice<Variant> {
  readonly rule: string;
  readonly variant: Variant;
  /** Rules that would have come first. */
  readonly rejected: readonly RejectedRule[];
}

/** One rule that ran, how often it was chosen, and why others were not at its last choice. */
export interface KernelUse {
  readonly family: string;
  readonly rule: string;
  readonly count: number;
  readonly rejected: readonly RejectedRule[];
}

/** `auto` is `fast` on GPUs; on processors f16 arithmetic is many times slower than f32. */
export function resolveMath(
  math: "auto" | KernelMath | undefined,
  { hardware }: DeviceCapabilities,
): KernelMath {
  if (math === "exact" || math === "fast") return math;
  return hardware === "gpu" ? "fast" : "exact";
}

/** Which type holds activations where nobody says: f16 where the device computes in it and `math` allows it. */
export function activationDType({
  math,
  info,
}: {
  readonly math: KernelMath;
  readonly info: Pick<DeviceCapabilities, "f16">;
}): "f16" | "f32" {
  return math === "fast" && info.f16 ? "f16" : "f32";
}

/** One line: `attention: tile-f16; linear: gemv, tile-f16`. */
export function kernelSummary(uses: readonly KernelUse[]): string {
  const rules = new Map<string, string[]>();
  for (const { family, rule } of uses) rules.set(family, [...(rules.get(family) ?? []), rule]);
  return [...rules]
    .map(([family, ids]) => `${family}: ${ids.sort().join(", ")}`)
    .sort()
    .join("; ");
}

export interface KernelChooserOptions {
  readonly math: KernelMath;
  /** Family name to rule id: this rule first, wherever it fits. */
  readonly rules?: Readonly<Record<string, string>>;
}

interface RuleOnDevice<Shape, Size, Variant> {
  readonly rule: KernelRule<Shape, Size, Variant>;
  /** Why it never runs on this device. */
  readonly unable: string | undefined;
}

/** Chooses for one device, and remembers what it chose. */
export class KernelChooser {
  readonly #device: DeviceCapabilities;
  readonly #options: KernelChooserOptions;
  readonly #families = new Map<AnyKernelFamily, readonly RuleOnDevice<unknown, unknown, unknown>[]>();
  readonly #uses = new Map<
    string,
    { family: string; rule: string; count: number; rejected: RejectedRule[] }
  >();

  constructor(device: DeviceCapabilities, options: KernelChooserOptions) {
    this.#device = device;
    this.#options = options;
  }

  /**
   * The first rule that the device can run, that `math` allows and that fits. `override` names a rule instead, which
   * `math` does not forbid.
   * @throws DeviceError `KERNEL_RULE` when an override, here or in the options, names no rule or one that can not run
   */
  choose<Shape, Size, Variant>(
    family: KernelFamily<Shape, Size, Variant>,
    shape: Shape,
    size: Size,
    override?: string,
  ): KernelChoice<Variant> {
    if (override !== undefined) {
      const rule = runnable(family, override, this.#device);
      const reason = rule.fits(shape, size, this.#device);
      if (reason !== undefined) throw ruleError(family.name, override, reason);
      return this.#chosen(family, rule, shape, size, []);
    }
    const rejected: RejectedRule[] = [];
    for (const { rule, unable } of this.#onDevice(family) as readonly RuleOnDevice<Shape, Size, Variant>[]) {
      const reason = unable ?? rule.fits(shape, size, this.#device);
      if (reason === undefined) return this.#chosen(family, rule, shape, size, rejected);
      rejected.push({ rule: rule.id, reason });
    }
    throw ruleError(
      family.name,
      "any rule",
      rejected.map(({ rule, reason }) => `${rule}: ${reason}`).join("; "),
    );
  }

  /** What was chosen so far. */
  uses(): readonly KernelUse[] {
    return [...this.#uses.values()];
  }

  #chosen<Shape, Size, Variant>(
    family: KernelFamily<Shape, Size, Variant>,
    rule: KernelRule<Shape, Size, Variant>,
    shape: Shape,
    size: Size,
    rejected: RejectedRule[],
  ): KernelChoice<Variant> {
    const id = `${family.name}|${rule.id}`;
    const use = this.#uses.get(id) ?? { family: family.name, rule: rule.id, count: 0, rejected };
    use.count += 1;
    use.rejected = rejected;
    this.#uses.set(id, use);
    return { rule: rule.id, variant: rule.variant(shape, size, this.#device), rejected };
  }

  /** In the order that they are tried. What depends on the device alone is asked once. */
  #onDevice(family: AnyKernelFamily): readonly RuleOnDevice<unknown, unknown, unknown>[] {
    const known = this.#families.get(family);
    if (known) return known;
    const { math, rules } = this.#options;
    const wanted = rules?.[family.name];
    const preferred = wanted === undefined ? undefined : runnable(family, wanted, this.#device);
    const found = family.rules
      .filter((rule) => rule !== preferred)
      .map((rule) => ({ rule, unable: this.#unable(rule, math) }));
    if (preferred) found.unshift({ rule: preferred, unable: undefined });
    this.#families.set(family, found);
    return found;
  }

  #unable(rule: KernelRule<unknown, unknown, unknown>, math: KernelMath): string | undefined {
    const reason = rule.requires(this.#device) ?? rule.avoids?.(this.#device);
    if (reason !== undefined) return reason;
    return rule.precision === "f16" && math === "exact"
      ? "rounds operands to f16, and math is exact"
      : undefined;
  }
}

function runnable<Shape, Size, Variant>(
  family: KernelFamily<Shape, Size, Variant>,
  id: string,
  device: DeviceCapabilities,
): KernelRule<Shape, Size, Variant> {
  const rule = family.rules.find((r) => r.id === id);
  if (!rule) throw ruleError(family.name, id, `its rules are ${family.rules.map((r) => r.id).join(", ")}`);
  const reason = rule.requires(device);
  if (reason !== undefined) throw ruleError(family.name, id, reason);
  return rule;
}

function ruleError(family: string, rule: string, reason: string): DeviceError {
  return new DeviceError("KERNEL_RULE", `${family} can not run ${rule}: ${reason}`, {
    fix: "Name another rule (`lvsa doctor` lists them), or none.",
  });
}

export interface ExplainedUse {
  readonly family: string;
  readonly use: string;
  readonly rule: string;
  readonly rejected: readonly RejectedRule[];
}

/** Which rule each typical use takes on a device, and why others before it do not run. */
export function explainKernels(
  families: readonly AnyKernelFamily[],
  device: DeviceCapabilities,
  options: KernelChooserOptions,
): ExplainedUse[] {
  const chooser = new KernelChooser(device, options);
  return families.flatMap((family) =>
    family.typical.map(({ name, shape, size }) => {
      const { rule, rejected } = chooser.choose(family, shape, size);
      return { family: family.name, use: name, rule, rejected };
    }),
  );
}
