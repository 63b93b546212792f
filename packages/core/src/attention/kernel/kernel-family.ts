/** Every operation of this package that has more than one kernel. */
import type { AnyKernelFamily } from "@lvsa/runtime";
import { attentionFamily } from "./attention.wgsl.js";

export const CORE_KERNELS: readonly AnyKernelFamily[] = [attentionFamily];
