/** The tensors of a dispatch as a device can bind them. */
import { ShapeError } from "../errors.js";
import type { BufferBinding } from "../kernel/command-recorder.js";
import type { Kernel, ParamTypes } from "../kernel/kernel.js";
import type { Tensor } from "../tensor/tensor.js";
import { bindingTooLarge } from "./device-errors.js";
import type { DeviceInfo } from "./device-info.js";

/**
 * Bindings of `tensors`, in the kernel's order. Those at offsets that can not be bound, and those that would be read
 * and written at once, are bound by a copy that `aligned` makes; `copies` says which of them were written and go `to` their
 * tensors afterwards. Each `from` is to be disposed.
 *
 * @throws ShapeError `DISPOSED`; DeviceError `BINDING_TOO_LARGE`
 */
export function boundTensors<P extends ParamTypes>(
  kernel: Kernel<P>,
  tensors: readonly Tensor[],
  { limits }: Pick<DeviceInfo, "limits">,
  aligned: (tensor: Tensor) => Tensor,
): {
  readonly bindings: readonly BufferBinding[];
  readonly copies: readonly { readonly from: Tensor; readonly to: Tensor | undefined }[];
} {
  const limit = limits.maxStorageBufferBindingSize;
  // All of them before the first copy is made, which nobody would free.
  for (const [i, tensor] of tensors.entries()) {
    const { name } = kernel.bindings[i]!;
    if (tensor.disposed) {
      throw new ShapeError("DISPOSED", `kernel ${kernel.name}: tensor ${name} was disposed`);
    }
    if (tensor.byteLength > limit) throw bindingTooLarge(kernel.name, name, tensor, limit);
  }
  const copies: { from: Tensor; to: Tensor | undefined }[] = [];
  const bindings = tensors.map((tensor, i) => {
    const { access } = kernel.bindings[i]!;
    const size = Math.max(16, Math.ceil(tensor.byteLength / 16) * 16);
    let bound = tensor;
    // A buffer may not be bound for reading and for writing in one dispatch, even at disjoint ranges.
    const reading = access === "read";
    const written =
      reading && tensors.some((t, j) => t.buffer === tensor.buffer && kernel.bindings[j]!.access !== "read");
    if (written || tensor.byteOffset % limits.minStorageBufferOffsetAlignment !== 0) {
      bound = aligned(tensor);
      copies.push({ from: bound, to: reading ? undefined : tensor });
    }
    const offset = bound.byteOffset;
    return { buffer: bound.buffer, offset, size: Math.min(size, bound.buffer.size - offset) };
  });
  return { bindings, copies };
}
