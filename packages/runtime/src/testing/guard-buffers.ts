/**
 * Guards behind the buffers of a device: every buffer for storage is made longer than asked, holds NaN of every type until
 * somebody writes, and is bound with its guard, so that no driver's checks stand between. What is read past an end shows as
 * NaN in the result, what is written there as a broken guard.
 */
import type { Device } from "../device/device.js";
import type { DeviceOptions } from "../device/device-options.js";
import { gpuBufferUsage, MAP_READ_MODE } from "../device/gpu-usage.js";
import { createDevice } from "../node/create-device.js";

const GUARD_BYTES = 1024;

export interface GuardedDevice {
  readonly device: Device;
  /** Guards that are broken, as text; and how many were looked at. */
  check(): Promise<{ readonly broken: readonly string[]; readonly buffers: number }>;
}

/** A device that does not check indices, so that nothing but the kernels themselves keeps them inside. */
export async function guardedDevice(options: DeviceOptions = {}): Promise<GuardedDevice> {
  const adapter = process.env.LVSA_TEST_ADAPTER || "auto";
  const device = await createDevice({ adapter, math: "exact", bounds: "unchecked", ...options });
  const { gpu } = device;
  const made = new Map<GPUBuffer, number>();
  const create = gpu.createBuffer.bind(gpu);
  gpu.createBuffer = (descriptor) => {
    if ((descriptor.usage & gpuBufferUsage("STORAGE")) === 0 || descriptor.mappedAtCreation)
      return create(descriptor);
    const size = descriptor.size + GUARD_BYTES;
    const buffer = create({ ...descriptor, size });
    gpu.queue.writeBuffer(buffer, 0, new Uint8Array(size).fill(0xff));
    made.set(buffer, descriptor.size);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      made.delete(buffer);
      destroy();
    };
    return buffer;
  };
  const bind = gpu.createBindGroup.bind(gpu);
  gpu.createBindGroup = (descriptor) => {
    const entries = Array.from(descriptor.entries, (entry) => {
      const { buffer, offset = 0 } = entry.resource as GPUBufferBinding;
      const size = made.get(buffer);
      if (size === undefined) return entry;
      const most = device.info.limits.maxStorageBufferBindingSize;
      return { ...entry, resource: { buffer, offset, size: Math.min(most, size + GUARD_BYTES - offset) } };
    });
    return bind({ ...descriptor, entries });
  };
  const check = async () => {
    await device.idle();
    const broken: string[] = [];
    for (const [buffer, size] of made) {
      const staging = create({ size: GUARD_BYTES, usage: gpuBufferUsage("MAP_READ", "COPY_DST") });
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, size, staging, 0, GUARD_BYTES);
      gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_READ_MODE);
      const at = new Uint8Array(staging.getMappedRange()).findIndex((byte) => byte !== 0xff);
      if (at >= 0) broken.push(`${buffer.label} of ${size} bytes was written ${at} bytes behind its end`);
      staging.destroy();
    }
    return { broken, buffers: made.size };
  };
  return { device, check };
}

/**
 * The device, whose `dispose` fails where a guard is broken. What a hook returns is awaited: `dispose` of this device is a
 * promise there, whatever its type says.
 */
export function failingGuards({ device, check }: GuardedDevice): Device {
  const dispose = device.dispose.bind(device);
  device.dispose = () => {
    const checked = check().then(({ broken }) => {
      dispose();
      if (broken.length > 0) throw new Error(broken.join("\n"));
    });
    return checked as unknown as undefined;
  };
  return device;
}
