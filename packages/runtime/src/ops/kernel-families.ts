/** Every operation of this package that has more than one kernel. */
import type { AnyKernelFamily } from "../kernel/kernel-family.js";
import { convFamily } from "./conv/conv-family.js";
import { linearFamily } from "./linear/linear-family.js";
import { groupNormFamily } from "./norm/group-norm-family.js";
import { normRotaryFamily } from "./norm/norm-rotary-family.js";
import { rowNormFamily } from "./norm/row-norm-family.js";

export const RUNTIME_KERNELS: readonly AnyKernelFamily[] = [
  linearFamily,
  convFamily,
  rowNormFamily,
  groupNormFamily,
  normRotaryFamily,
];
