/** Heads whose size is no multiple of 4, which the kernels want, filled up with zeros: the scores stay the same. */
import { type Device, pad, slice, type Tensor } from "@lvsa/runtime";
import type { AttentionInput, AttentionOutput } from "./attention-input.js";

/** Runs `attend` on padded copies. Rare and small models have such heads; the copies cost what they cost. */
export function padHeads(
  device: Device,
  input: AttentionInput,
  attend: (device: Device, input: AttentionInput) => AttentionOutput,
): AttentionOutput {
  const headDim = input.query.dim(3);
  const wide = (x: Tensor) => pad(device, x, 3, 0, 4 - (headDim % 4));
  const result = device.scope(() => {
    const { output, logSumExp } = attend(device, {
      ...input,
      scale: input.scale ?? 1 / Math.sqrt(headDim),
      query: wide(input.query),
      key: wide(input.key),
      value: wide(input.value),
      ...(input.contextKey ? { contextKey: wide(input.contextKey) } : {}),
      ...(input.contextValue ? { contextValue: wide(input.contextValue) } : {}),
      // Rows that no layout row writes keep what they held.
      ...(input.out ? { out: wide(input.out) } : {}),
    });
    return { output: slice(device, output, 3, 0, headDim), logSumExp };
  });
  const lse = result.logSumExp ? { logSumExp: result.logSumExp } : {};
  if (!input.out) return { output: result.output, ...lse };
  device.copyBytes(result.output, input.out);
  result.output.dispose();
  return { output: input.out, ...lse };
}
