/** Our kernels, with everything on the adapter, and once more with the copies that onnxruntime-node makes. */
import { attention } from "@lvsa/core";
import { type Device, linear, type Tensor } from "@lvsa/runtime";
import type { Engine, EngineTask, Workload } from "./engine.ts";

export const OURS = "@lvsa/runtime";

export function createOurEngines(device: Device, work: Workload): [Engine, Engine] {
  const { m, k, n } = work.matmul;
  const { length, heads, headDim } = work.attention;
  const shape = [1, length, heads, headDim];
  const x = device.upload(work.x, [m, k]);
  // Checkpoints store weights as [N, K]: that is what `linear` takes.
  const transposed = Float32Array.from({ length: n * k }, (_, i) => work.w[(i % k) * n + Math.floor(i / k)]!);
  const weight = device.upload(transposed, [n, k]);
  const query = device.upload(work.query, shape);
  const key = device.upload(work.key, shape);
  const value = device.upload(work.value, shape);

  const resident = (record: () => Tensor): EngineTask => ({
    run: async () => {
      record().dispose();
      await device.idle();
    },
    result: async () => {
      const y = record();
      const data = await device.read(y);
      y.dispose();
      return data;
    },
  });
  const copying = (
    inputs: readonly (readonly [Float32Array, readonly number[]])[],
    record: (...tensors: Tensor[]) => Tensor,
  ): EngineTask => {
    const result = async () => {
      const tensors = inputs.map(([data, size]) => device.upload(data, size));
      const y = record(...tensors);
      const data = await device.read(y);
      for (const tensor of [...tensors, y]) tensor.dispose();
      return data;
    };
    return { run: async () => void (await result()), result };
  };
  const attentionNote = "one kernel";
  return [
    {
      name: OURS,
      attentionNote,
      copies: false,
      matmul: resident(() => linear(device, x, weight)),
      attention: resident(() => attention(device, { query, key, value }).output),
      dispose: async () => {
        for (const tensor of [x, weight, query, key, value]) tensor.dispose();
      },
    },
    {
      name: `${OURS}, copying`,
      attentionNote,
      copies: true,
      matmul: copying(
        [
          [work.x, [m, k]],
          [transposed, [n, k]],
        ],
        (a, b) => linear(device, a!, b!),
      ),
      attention: copying(
        [
          [work.query, shape],
          [work.key, shape],
          [work.value, shape],
        ],
        (q, k2, v) => attention(device, { query: q!, key: k2!, value: v! }).output,
      ),
      dispose: async () => {},
    },
  ];
}
