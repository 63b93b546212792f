/** How much fine detail a frame has: the spread of its Laplacian. */
import { variance } from "../statistics.js";
import { mirror } from "./filters.js";

/** Variance of `[[0,1,0],[1,-4,1],[0,1,0]]` over a luma frame; borders are mirrored without the edge pixel. */
export function sharpness(frame: Uint8Array, width: number, height: number): number {
  return variance(laplacian(frame, width, height));
}

/** `[height, width]`. */
export function laplacian(frame: Uint8Array, width: number, height: number): Float64Array {
  const out = new Float64Array(frame.length);
  for (let y = 0; y < height; y++) {
    const up = mirror(y - 1, height) * width;
    const down = mirror(y + 1, height) * width;
    for (let x = 0; x < width; x++) {
      const left = mirror(x - 1, width);
      const right = mirror(x + 1, width);
      const here = y * width;
      out[here + x] =
        frame[up + x]! + frame[down + x]! + frame[here + left]! + frame[here + right]! - 4 * frame[here + x]!;
    }
  }
  return out;
}
