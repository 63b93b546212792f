/** What this example is about, for any WebGPU: @lvsa/core on a device and buffers that are not its own. */
import { AttentionPattern, borrowTensor, frameSparseAttention, wrapDevice } from "@lvsa/core";

/**
 * 16 frames of 128 tokens, 4 query heads over 2 key heads, 64 channels, on the engine's device. Returns the attended fraction
 * and the output.
 */
export async function attend(gpuDevice: GPUDevice): Promise<{ density: number; output: Float32Array }> {
  // What the other engine already has: buffers that its own kernels filled.
  const [frames, patchesPerFrame, headDim] = [16, 128, 64];
  const query = filledBuffer(gpuDevice, frames * patchesPerFrame * 4 * headDim, 0.31);
  const key = filledBuffer(gpuDevice, frames * patchesPerFrame * 2 * headDim, 0.17);
  const value = filledBuffer(gpuDevice, frames * patchesPerFrame * 2 * headDim, 0.23);
  const output = filledBuffer(gpuDevice, frames * patchesPerFrame * 4 * headDim, 0);

  // What @lvsa/core adds: a pattern, and one call that records and submits on that device.
  const device = wrapDevice(gpuDevice);
  const tokens = frames * patchesPerFrame;
  const options = { frames, patchesPerFrame, window: 2, nFirstFrames: 1, keyframeInterval: 6 };
  const pattern = AttentionPattern.build(options);
  frameSparseAttention(device, {
    query: borrowTensor(query, [1, tokens, 4, headDim], "f32"),
    key: borrowTensor(key, [1, tokens, 2, headDim], "f32"),
    value: borrowTensor(value, [1, tokens, 2, headDim], "f32"),
    out: borrowTensor(output, [1, tokens, 4, headDim], "f32"),
    pattern,
  });
  device.submit(); // work that the engine submits from here on sees the output

  const result = await readBuffer(gpuDevice, output);
  device.dispose(); // frees what LVSA made; the engine's device and buffers live on
  return { density: pattern.density, output: result };
}

/** Stands in for the engine's own kernels: numbers between -1 and 1. */
function filledBuffer(device: GPUDevice, count: number, step: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: count * 4, usage, mappedAtCreation: true });
  new Float32Array(buffer.getMappedRange()).set(
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * step)),
  );
  buffer.unmap();
  return buffer;
}

async function readBuffer(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: buffer.size, usage });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return new Float32Array(staging.getMappedRange().slice(0));
}
