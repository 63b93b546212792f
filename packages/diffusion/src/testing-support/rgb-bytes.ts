/** Comparing frames of bytes with golden ones. */
import { maxAbsolute } from "@lvsa/runtime/testing";

export interface ByteTolerance {
  readonly max_abs: number;
  readonly max_fraction_differing: number;
}

/** Throws unless all bytes are close and few differ. Prints how many. */
export async function expectFrames(
  name: string,
  frames: AsyncIterable<Uint8Array>,
  golden: ArrayLike<number>,
  tolerance: ByteTolerance,
): Promise<void> {
  const bytes: number[] = [];
  for await (const frame of frames) for (const byte of frame) bytes.push(byte);
  const worst = maxAbsolute(bytes, golden);
  const differing = bytes.filter((byte, i) => byte !== golden[i]).length / golden.length;
  console.log(`${name}: ${(100 * differing).toFixed(3)} % of bytes differ, by ${worst} at most`);
  if (worst > tolerance.max_abs || differing > tolerance.max_fraction_differing) {
    throw new Error(`${name}: bytes differ by ${worst}, ${100 * differing} % of them`);
  }
}
