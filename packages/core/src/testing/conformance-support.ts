/** What the checks of adapters share: failing with a reason, and comparing what the GPU computed. */
import type { Device, Tensor } from "@lvsa/runtime";
import type { AttentionCall, AttentionResult } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";

/** @throws Error with the message unless the condition holds */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** What `action` throws; undefined when it returns. */
export function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The streams of a result on the CPU, video first. What `compute` leaves behind is freed. */
export async function valuesOf(
  device: Device,
  compute: () => AttentionResult | readonly Tensor[],
): Promise<Float32Array[]> {
  const tensors = device.scope(() => {
    const result = compute();
    if (!("hiddenStates" in result)) return [...result];
    const { hiddenStates, encoderHiddenStates } = result;
    return encoderHiddenStates ? [hiddenStates, encoderHiddenStates] : [hiddenStates];
  });
  const values: Float32Array[] = [];
  for (const tensor of tensors) {
    values.push(await device.read(tensor));
    tensor.dispose();
  }
  return values;
}

/** Same streams within a relative L2 error of `limit`. */
export function same(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
  limit: number,
): void {
  check(actual.length === expected.length, `${actual.length} streams, expected ${expected.length}`);
  for (const [i, values] of actual.entries()) {
    const error = distance(values, expected[i]!);
    check(error <= limit, `stream ${i} is off by ${error.toExponential(1)}, at most ${limit}`);
  }
}

/** Relative L2 distance; infinite for other lengths and for NaN. */
export function distance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  const value = Math.sqrt(difference / (norm || 1));
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

/** Names of the layers that somebody is in charge of. */
export function claimedLayers(model: AttentionTarget): string[] {
  return model
    .attentionModules()
    .filter((layer) => model.attention.owner(layer) !== undefined)
    .map(({ name }) => name);
}

/** The call with a residual behind every output projection: its own inputs. */
export function withEpilogues(call: AttentionCall): AttentionCall {
  const { hiddenStates, encoderHiddenStates } = call;
  return {
    ...call,
    epilogue: { residual: hiddenStates },
    ...(encoderHiddenStates ? { encoderEpilogue: { residual: encoderHiddenStates } } : {}),
  };
}
