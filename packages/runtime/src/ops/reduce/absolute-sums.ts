/** How far two tensors on the GPU are apart. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import { absoluteSumsKernel } from "./absolute-sums.wgsl.js";

/** Threads, and pairs of sums that are read back, per dispatch: few elements for each keep f32 sums exact enough. */
const THREADS = 64 * FLAT_WORKGROUP;

export interface AbsoluteSums {
  /** Σ |a − b| */
  readonly difference: number;
  /** Σ |b| */
  readonly magnitude: number;
}

/**
 * Sums over all elements of two float tensors of one size: each thread's in f32, all together in float64. Waits for the
 * GPU; reads some kilobytes back.
 * @throws ShapeError where the sizes differ
 */
export async function absoluteSums(device: Device, a: Tensor, b: Tensor): Promise<AbsoluteSums> {
  assertShape(
    a.size === b.size,
    `absoluteSums: ${formatShape(a.shape)} and ${formatShape(b.shape)} differ in size`,
  );
  if (a.size === 0) return { difference: 0, magnitude: 0 };
  const dtypes = [floatDType("absoluteSums", a), floatDType("absoluteSums", b)] as const;
  const chunks = rowChunks(device, a.size, dtypes.map(bytesPerElement));
  const sums = device.empty([chunks.length * THREADS, 2], "f32");
  try {
    const kernel = absoluteSumsKernel(...dtypes);
    for (const [index, chunk] of chunks.entries()) {
      withRows([a, b], a.size, chunk, ([partA, partB]) => {
        device.dispatch({
          kernel,
          tensors: [partA!, partB!, sums],
          params: { count: chunk.end - chunk.start, threads: THREADS, first: index * THREADS },
          workgroups: THREADS / FLAT_WORKGROUP,
        });
      });
    }
    const pairs = await device.read(sums);
    let difference = 0;
    let magnitude = 0;
    for (let i = 0; i < pairs.length; i += 2) {
      difference += pairs[i]!;
      magnitude += pairs[i + 1]!;
    }
    return { difference, magnitude };
  } finally {
    sums.dispose();
  }
}
