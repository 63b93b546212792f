/** How fast a GPU computes: measured for a moment before the first clip, then taken from the clips themselves. */
import { type Device, linear } from "@lvsa/runtime";

/** Edge of the matrices that are multiplied. */
const EDGE = 512;
/** A real step reaches about this share of a matrix product's speed. */
const SHARE_IN_STEPS = 0.5;
const MEASURE_MILLISECONDS = 100;

/** Operations per second that denoising steps are expected to reach. */
export async function measureSpeed(device: Device): Promise<number> {
  const ones = new Float32Array(EDGE * EDGE).fill(1 / EDGE);
  const input = device.upload(ones, [EDGE, EDGE]);
  const weight = device.upload(ones, [EDGE, EDGE]);
  try {
    const run = async (): Promise<number> => {
      const started = performance.now();
      device.scope(() => void linear(device, input, weight));
      await device.idle();
      return performance.now() - started;
    };
    // The first run compiles.
    await run();
    let [count, milliseconds] = [0, 0];
    while (milliseconds < MEASURE_MILLISECONDS && count < 64) {
      milliseconds += await run();
      count += 1;
    }
    return (SHARE_IN_STEPS * 2 * EDGE ** 3 * count) / (Math.max(milliseconds, 0.1) / 1000);
  } finally {
    input.dispose();
    weight.dispose();
  }
}
