import type { Kernel, ParamTypes } from "../kernel/kernel.js";
import type { KernelMath } from "../kernel/kernel-family.js";
import type { OptionKinds } from "../option-kinds.js";
import type { Tensor } from "../tensor/tensor.js";

export interface DeviceOptions {
  /**
   * `exact`: products of operands as they are stored. `fast`: products of operands rounded to f16, where a kernel for
   * them exists. Sums are f32 in both. `auto` (default): `fast` on GPUs, `exact` on software adapters.
   */
  readonly math?: "auto" | KernelMath;
  /** For tests and tuning: kernel family to rule, which then comes first wherever it fits. */
  readonly rules?: Readonly<Record<string, string>>;
  /**
   * The `GPUDevice` was made to leave indices unchecked: only kernels that say `inBounds` run. `createDevice` sets it where
   * it makes such a device.
   */
  readonly unchecked?: boolean;
  /** Time every dispatch (needs `timestamp-query`). */
  readonly profile?: boolean;
}

export const DEVICE_KINDS: OptionKinds<DeviceOptions> = {
  ...{ math: ["auto", "exact", "fast"], rules: "object", unchecked: "boolean", profile: "boolean" },
};

export interface Dispatch<P extends ParamTypes = ParamTypes> {
  readonly kernel: Kernel<P>;
  /** One tensor per binding of the kernel, in order. */
  readonly tensors: readonly Tensor[];
  readonly params: { readonly [K in keyof P]: number };
  /** A count (spread over x and y by `foldWorkgroups`) or a grid. */
  readonly workgroups: number | readonly [number, number, number];
  /**
   * How long it takes, as a share of the longest that one dispatch may take (a quarter of a second on the slowest GPU that is
   * of use). Two such are submitted at once, so that others who use the GPU get their turn. Default 0: next to nothing.
   */
  readonly cost?: number;
}

export interface EmptyOptions {
  readonly label?: string;
  /** Pinned tensors (weights, tables) outlive scopes and are never pooled. */
  readonly pinned?: boolean;
}
