/** What a device throws, each with what to do about it. */
import { DeviceError, isLvsaError, type LvsaError, ShapeError } from "../errors.js";
import type { PackedDType } from "../tensor/dtype.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type DeviceInfo, deviceLabel } from "./device-info.js";

export function outOfMemory(bytes: number, message: string): DeviceError {
  return new DeviceError("OUT_OF_MEMORY", `the GPU has no memory for another ${bytes} bytes: ${message}`, {
    fix: "Use fewer frames, a smaller size, or a device with more memory (`lvsa plan` estimates the need).",
  });
}

export function gpuError(error: GPUError): DeviceError {
  if (error.constructor.name === "GPUOutOfMemoryError") return outOfMemory(0, error.message);
  return new DeviceError("GPU_ERROR", error.message, {
    fix: "This is a fault of the library: please report it with the text above.",
  });
}

export function exchangeError(error: unknown): LvsaError {
  if (isLvsaError(error)) return error;
  return new DeviceError("EXCHANGE_FAILED", "an exchange between ranks failed", { cause: error });
}

export function packedRead(dtype: PackedDType): ShapeError {
  return new ShapeError(
    "DTYPE_MISMATCH",
    `a tensor of ${dtype} holds blocks, which stand for no numbers by themselves`,
    {
      fix: "Widen it first (widenPacked), or read its bytes (readBytes).",
    },
  );
}

export function unalignedView(what: string): ShapeError {
  return new ShapeError("UNALIGNED_VIEW", `cannot ${what}`, {
    fix: "Views of 16-bit tensors must begin at an even element, views of bytes at a multiple of 4.",
  });
}

export function lostDevice({ reason, message }: GPUDeviceLostInfo): DeviceError {
  return new DeviceError("DEVICE_LOST", `the GPU device was lost: ${message || reason}`, {
    fix: "Run again; if it recurs, use fewer frames or a smaller size (a driver may have timed out or run out of memory).",
  });
}

export function uncheckedKernel(name: string): DeviceError {
  return new DeviceError(
    "UNCHECKED_KERNEL",
    `kernel ${name} may read or write outside of its tensors, and this device does not check indices`,
    {
      fix: 'Make the device with `bounds: "checked"`, or set `inBounds` on a kernel whose indices are proven.',
    },
  );
}

export function noTimestamps(info: DeviceInfo): DeviceError {
  return new DeviceError("NO_TIMESTAMPS", `${deviceLabel(info)} has no timestamp queries to profile with`, {
    fix: "Run without profiling, or on another adapter.",
  });
}

export function tensorTooLarge(what: string, bytes: number, limit: number): DeviceError {
  return new DeviceError(
    "BUFFER_TOO_LARGE",
    `a ${what} needs ${bytes} bytes, the device allows ${limit} per buffer`,
    { fix: "Use fewer frames or a smaller size, or a device with larger buffers." },
  );
}

export function bindingTooLarge(kernel: string, binding: string, tensor: Tensor, limit: number): DeviceError {
  return new DeviceError(
    "BINDING_TOO_LARGE",
    `kernel ${kernel}: ${binding} ${formatShape(tensor.shape)} ${tensor.dtype} is ${tensor.byteLength} bytes, the device binds at most ${limit}`,
    { fix: "Use fewer frames or a smaller size, or a device with larger bindings." },
  );
}
