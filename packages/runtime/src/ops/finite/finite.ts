/** Whether numbers on the GPU are numbers. */
import type { Device } from "../../device/device.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import { notFiniteKernel } from "./finite.wgsl.js";

/** Threads, and counts that are read back, per dispatch. */
const THREADS = 16 * FLAT_WORKGROUP;

/** How many elements of a float tensor are NaN or infinite. Waits for the GPU; reads some kilobytes back. */
export async function countNotFinite(device: Device, x: Tensor): Promise<number> {
  if (x.size === 0) return 0;
  const dtype = floatDType("countNotFinite", x);
  const chunks = rowChunks(device, x.size, [bytesPerElement(dtype)]);
  const counts = device.empty([chunks.length * THREADS], "u32");
  try {
    const kernel = notFiniteKernel(dtype);
    for (const [index, chunk] of chunks.entries()) {
      withRows([x], x.size, chunk, ([part]) => {
        device.dispatch({
          kernel,
          tensors: [part!, counts],
          params: { count: chunk.end - chunk.start, threads: THREADS, first: index * THREADS },
          workgroups: THREADS / FLAT_WORKGROUP,
        });
      });
    }
  } catch (error) {
    counts.dispose();
    throw error;
  }
  const read = device.readIntegers(counts);
  // Its copy is recorded: nobody needs to hold it while the GPU works.
  counts.dispose();
  let sum = 0;
  for (const count of await read) sum += count;
  return sum;
}
