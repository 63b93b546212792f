/** onnxruntime-node on its WebGPU provider, which holds a Dawn of its own. */
import { createRequire } from "node:module";
import type { Engine, EngineTask, Workload } from "./engine.ts";
import { attentionOperators, type OnnxGraph, onnxModel, onnxOperator } from "./onnx-model.ts";

interface Ort {
  readonly Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => object;
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<OrtSession>;
  };
}
interface OrtSession {
  run(feeds: Record<string, object>): Promise<Record<string, { readonly data: Float32Array }>>;
  release(): Promise<void>;
}

const fromPeers = createRequire(new URL("./peers/package.json", import.meta.url));

/**
 * Its attention twice: as the one operator `MultiHeadAttention`, and as the operators that make it up, because the
 * first is wrong on some adapters. @throws where it is not installed or finds no adapter.
 */
export async function createOnnxRuntimeEngines(work: Workload): Promise<Engine[]> {
  const ort = fromPeers("onnxruntime-node") as Ort;
  const sessions: OrtSession[] = [];
  const task = async (graph: OnnxGraph, data: readonly Float32Array[]): Promise<EngineTask> => {
    const session = await ort.InferenceSession.create(onnxModel(graph), {
      executionProviders: ["webgpu"],
      // Without this an operator that WebGPU lacks would run on the processor, silently.
      extra: { session: { disable_cpu_ep_fallback: "1" } },
      logSeverityLevel: 3,
    });
    sessions.push(session);
    const feeds = Object.fromEntries(
      graph.inputs.map(({ name, shape }, i) => [name, new ort.Tensor("float32", data[i]!, shape)]),
    );
    const result = async () => (await session.run(feeds))[graph.output.name]!.data;
    return { run: async () => void (await result()), result };
  };
  const dispose = async () => {
    for (const session of sessions.splice(0)) await session.release();
  };

  const { m, k, n } = work.matmul;
  const { length, heads, headDim } = work.attention;
  const tokens = [1, length, heads * headDim];
  const data = [work.query, work.key, work.value];
  const scale = new Float32Array([1 / Math.sqrt(headDim)]);
  const matmul = onnxOperator({
    type: "MatMul",
    inputs: [
      { name: "x", shape: [m, k] },
      { name: "w", shape: [k, n] },
    ],
    output: { name: "y", shape: [m, n] },
  });
  const fused = onnxOperator({
    type: "MultiHeadAttention",
    domain: "com.microsoft",
    attributes: { num_heads: heads },
    inputs: ["q", "k", "v"].map((name) => ({ name, shape: tokens })),
    output: { name: "y", shape: tokens },
  });
  const engine = { copies: true, dispose };
  return [
    {
      ...engine,
      name: "onnxruntime-node",
      attentionNote: "MultiHeadAttention",
      matmul: await task(matmul, [work.x, work.w]),
      attention: await task(fused, data),
    },
    {
      ...engine,
      name: "onnxruntime-node, composed",
      attentionNote: "MatMul, Softmax, MatMul",
      attention: await task(attentionOperators(length, heads, headDim), [...data, scale]),
    },
  ];
}
