/** The same in a browser, on a device with default limits and no features. */
import { attend } from "./attend.js";

const text = document.querySelector("output")!;
const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) text.value = "This browser has no WebGPU, or finds no GPU.";
else {
  const gpuDevice = await adapter.requestDevice();
  const { density, output } = await attend(gpuDevice);
  text.value = `${100 * density} % of dense attention; ${output.length} values, the first ${output[0]}`;
  // The engine's device lives on, and its errors stay its own.
  gpuDevice.destroy();
}
