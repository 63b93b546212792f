/**
 * Frame-sparse attention for another engine: its own GPUDevice, its own GPUBuffers, nothing copied.
 * npx tsx main.ts
 */
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { create, globals } from "webgpu";
import { attend } from "./attend.js";

Object.assign(globalThis, globals); // GPUBufferUsage and its like, as browsers have them
const dawn = create([]); // must outlive its devices

export async function main(): Promise<{ density: number; output: Float32Array }> {
  // What the other engine already has: a device.
  const adapter = await dawn.requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter");
  const requiredFeatures = [...adapter.features].filter((f) => f === "subgroups" || f === "shader-f16");
  const gpuDevice = await adapter.requestDevice({ requiredFeatures: requiredFeatures as GPUFeatureName[] });
  const result = await attend(gpuDevice);
  gpuDevice.destroy();
  return result;
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const { density, output } = await main();
  console.log(`${100 * density} % of dense attention; ${output.length} values, the first ${output[0]}`);
  process.exit(0);
}
