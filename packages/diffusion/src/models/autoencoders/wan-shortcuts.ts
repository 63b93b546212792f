/** Parameter-free shortcuts of the residual Wan 2.2 autoencoder. Source: diffusers `AvgDown3D`, `DupUp3D`. */
import { concat, type Device, linear, permute, repeatInterleave, type Tensor } from "@lvsa/runtime";

/**
 * Averages groups of channels after folding `factorT x factorS x factorS` cells into channels. Missing frames are
 * zeros in front, and count in the mean. x `[1, T, H, W, C]`.
 */
export function averageDown(
  device: Device,
  x: Tensor,
  outChannels: number,
  factorT: number,
  factorS: number,
): Tensor {
  return device.scope(() => {
    const missing = (factorT - (x.dim(1) % factorT)) % factorT;
    let padded = x;
    if (missing > 0) {
      const zeros = device.zeros([1, missing, ...x.shape.slice(2)], x.dtype);
      padded = concat(device, [zeros, x], 1);
    }
    const [, T, H, W, C] = padded.shape as [number, number, number, number, number];
    const [t, h, w] = [T / factorT, H / factorS, W / factorS];
    // Folded channel order: (channel, time, y, x), channel slowest.
    const folded = permute(
      device,
      padded.reshape([t, factorT, h, factorS, w, factorS, C]),
      [0, 2, 4, 6, 1, 3, 5],
    );
    const group = (C * factorT * factorS * factorS) / outChannels;
    const mean = device.upload(new Float32Array(group).fill(1 / group), [1, group]);
    return linear(device, folded.reshape([t * h * w * outChannels, group]), mean).reshape([
      1,
      t,
      h,
      w,
      outChannels,
    ]);
  });
}

/**
 * Repeats channels and unfolds them into `factorT x factorS x factorS` cells. In the first chunk the first
 * `factorT − 1` frames are dropped. x `[1, T, H, W, C]`.
 */
export function duplicateUp(
  device: Device,
  x: Tensor,
  outChannels: number,
  factorT: number,
  factorS: number,
  isFirst: boolean,
): Tensor {
  return device.scope(() => {
    const [, T, H, W, C] = x.shape as [number, number, number, number, number];
    const factor = factorT * factorS * factorS;
    const repeated = repeatInterleave(device, x, 4, (outChannels * factor) / C);
    const unfolded = permute(
      device,
      repeated.reshape([T, H, W, outChannels, factorT, factorS, factorS]),
      [0, 4, 1, 5, 2, 6, 3],
    ).reshape([T * factorT, H * factorS, W * factorS, outChannels]);
    const first = isFirst ? factorT - 1 : 0;
    const kept = unfolded.rows(first, T * factorT);
    return kept.reshape([1, ...kept.shape]);
  });
}
