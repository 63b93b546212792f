import { assertShape } from "../errors.js";
import { type FloatDType, isFloatDType } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";

/** The tensor's dtype, which must be a float type. */
export function floatDType(op: string, tensor: Tensor): FloatDType {
  const { dtype } = tensor;
  assertShape(isFloatDType(dtype), `${op}: expected f32, f16 or bf16, got ${dtype}`);
  return dtype;
}
