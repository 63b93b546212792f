/**
 * Drivers list what they can not do right: Dawn leaves f16 off on NVIDIA for failed conformance tests, and subgroup
 * matrices are an experiment. What is going to be used is tried on small whole numbers first, whose sums are exact.
 */
import { linear } from "../ops/linear/linear.js";
import type { Device } from "./device.js";
import type { DeviceCapabilities } from "./device-info.js";

/** What a device claims and is not given; with the reasons in words. */
export interface Disproof {
  readonly f16?: string;
  readonly matrices?: string;
}

/** Tries f16 and subgroup matrices where the device claims them. Never throws for a driver's fault. */
export async function disprove(device: Device): Promise<Disproof> {
  const { f16, matrices } = device.info;
  const f16Fault = f16 ? await faultOf(device, "tile-f16") : undefined;
  const matrixFault =
    matrices.length > 0
      ? (f16Fault ?? (await faultOf(device, "matrix-f16")) ?? (await faultOf(device, "matrix-f32")))
      : undefined;
  return {
    ...(f16Fault === undefined ? {} : { f16: f16Fault }),
    ...(matrixFault === undefined ? {} : { matrices: matrixFault }),
  };
}

/** What remains of a device's capabilities. */
export function provenCapabilities(
  disproof: Disproof,
): Partial<Pick<DeviceCapabilities, "f16" | "matrices">> {
  return {
    ...(disproof.f16 === undefined ? {} : { f16: false }),
    ...(disproof.matrices === undefined ? {} : { matrices: [] }),
  };
}

/** Sizes that no tile divides, so that edges are tried too. */
const SIZE = { M: 70, N: 76, K: 40 } as const;

async function faultOf(device: Device, rule: string): Promise<string | undefined> {
  const { M, N, K } = SIZE;
  const x = wholeNumbers(M * K, 1);
  const weight = wholeNumbers(N * K, 2);
  try {
    const y = device.scope(() =>
      linear(device, device.upload(x, [M, K], "f16"), device.upload(weight, [N, K], "f16"), {
        outDtype: "f32",
        tuning: { rule },
      }),
    );
    const got = await device.read(y);
    y.dispose();
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += x[m * K + k]! * weight[n * K + k]!;
        if (got[m * N + n] !== sum) return `a sum of products is ${got[m * N + n]} instead of ${sum}`;
      }
    }
    return undefined;
  } catch (error) {
    if ((error as { code?: unknown }).code === "KERNEL_RULE") return undefined; // nothing here would run it
    return (error as Error).message.split("\n")[0];
  }
}

/** -8 to 8: products and sums of 40 of them are exact in f16 times f16 plus f32. */
function wholeNumbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) % 17) - 8;
  });
}
