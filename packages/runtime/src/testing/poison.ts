/** Making forgotten writes visible. */
import type { Device } from "../device/device.js";
import type { DType } from "../tensor/dtype.js";
import type { Shape } from "../tensor/shape.js";

/**
 * Fills pooled memory with bits that are NaN in every float type, so that the next tensors of this size start with
 * them: elements that an op forgets to write then fail any comparison.
 */
export function poisonMemory(device: Device, shape: Shape, dtype: DType = "f32", copies = 3): void {
  const tensors = Array.from({ length: copies }, () => device.empty(shape, dtype));
  for (const tensor of tensors) {
    device.writeBytes(tensor, new Uint8Array(tensor.byteLength).fill(0xff));
  }
  for (const tensor of tensors) tensor.dispose();
}
