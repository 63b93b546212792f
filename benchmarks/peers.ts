/** Other engines doing the same work on the same adapter. Each is loaded only where `npm run peers` installed it. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { create, globals } from "webgpu";
import { type OnnxOperator, onnxModel } from "./onnx-model.ts";

/** `y = x w` with x `[M, K]` and w `[K, N]`, and dense attention with `[1, L, H, D]`, all f32. */
export interface Workload {
  readonly matmul: { readonly m: number; readonly k: number; readonly n: number };
  readonly attention: { readonly length: number; readonly heads: number; readonly headDim: number };
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** One run of the work, done when the promise is; gives the result where asked. */
export interface PeerTask {
  run(): Promise<void>;
  result(): Promise<Float32Array>;
}

export interface Peer {
  readonly name: string;
  /** What its numbers include, for the reader of the table. */
  readonly note: string;
  readonly matmul: PeerTask;
  readonly attention: PeerTask;
  dispose(): Promise<void>;
}

const require = createRequire(new URL("./peers/package.json", import.meta.url));

/** The engines that are installed, ready to run; and why others are not there. */
export async function loadPeers(work: Workload): Promise<{ peers: Peer[]; missing: string[] }> {
  const peers: Peer[] = [];
  const missing: string[] = [];
  for (const [name, load] of [
    ["onnxruntime-node", onnxRuntime],
    ["@jax-js/jax", jaxJs],
  ] as const) {
    try {
      peers.push(await load(work));
    } catch (error) {
      missing.push(`${name}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`);
    }
  }
  return { peers, missing };
}

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

async function onnxRuntime(work: Workload): Promise<Peer> {
  const ort = require("onnxruntime-node") as Ort;
  const sessions: OrtSession[] = [];
  const task = async (op: OnnxOperator, data: readonly Float32Array[]): Promise<PeerTask> => {
    // Without this an operator that WebGPU lacks would run on the processor, silently.
    const extra = { session: { disable_cpu_ep_fallback: "1" } };
    const session = await ort.InferenceSession.create(onnxModel(op), {
      executionProviders: ["webgpu"],
      extra,
      logSeverityLevel: 3,
    });
    sessions.push(session);
    const feeds = Object.fromEntries(
      op.inputs.map(({ name, shape }, i) => [name, new ort.Tensor("float32", data[i]!, shape)]),
    );
    const result = async () => (await session.run(feeds))[op.output.name]!.data;
    return { run: async () => void (await result()), result };
  };
  const { m, k, n } = work.matmul;
  const { length, heads, headDim } = work.attention;
  const shape = [1, length, heads * headDim];
  const matmul = await task(
    {
      type: "MatMul",
      domain: "",
      inputs: [
        { name: "x", shape: [m, k] },
        { name: "w", shape: [k, n] },
      ],
      output: { name: "y", shape: [m, n] },
    },
    [work.x, work.w],
  );
  const attention = await task(
    {
      type: "MultiHeadAttention",
      domain: "com.microsoft",
      attributes: { num_heads: heads },
      inputs: ["q", "k", "v"].map((name) => ({ name, shape })),
      output: { name: "y", shape },
    },
    [work.query, work.key, work.value],
  );
  const dispose = async () => {
    for (const session of sessions) await session.release();
  };
  return {
    name: "onnxruntime-node",
    note: "copies inputs in and the result out",
    matmul,
    attention,
    dispose,
  };
}

interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(axes: readonly number[]): JaxArray;
  mul(factor: number): JaxArray;
  data(): Promise<Float32Array>;
  blockUntilReady(): Promise<unknown>;
  dispose(): void;
}
interface Jax {
  init(backend: "webgpu"): Promise<readonly string[]>;
  defaultDevice(backend: "webgpu"): void;
  jit(f: (...arrays: JaxArray[]) => JaxArray): (...arrays: JaxArray[]) => JaxArray;
  readonly numpy: {
    array(data: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
  readonly nn: { softmax(x: JaxArray, axis: number): JaxArray };
}

async function jaxJs(work: Workload): Promise<Peer> {
  // It takes the browser's entry point.
  Object.assign(globalThis, globals);
  const gpu = create([]);
  Object.defineProperty(globalThis, "navigator", {
    value: { gpu, userAgent: "node" },
    configurable: true,
  });
  const jax = (await import(pathToFileURL(require.resolve("@jax-js/jax")).href)) as Jax;
  if (!(await jax.init("webgpu")).includes("webgpu")) throw new Error("finds no WebGPU adapter");
  jax.defaultDevice("webgpu");
  const { numpy: np, nn, jit } = jax;
  const owned: JaxArray[] = [];
  const array = (data: Float32Array, shape: readonly number[]) => {
    const a = np.array(data).reshape(shape);
    owned.push(a);
    return a;
  };
  const task = (f: (...arrays: JaxArray[]) => JaxArray, inputs: readonly JaxArray[]): PeerTask => {
    const compiled = jit(f);
    const once = () => compiled(...inputs.map((a) => a.ref));
    return {
      run: async () => {
        const y = once();
        await y.blockUntilReady();
        y.dispose();
      },
      result: async () => once().data(),
    };
  };
  const { m, k, n } = work.matmul;
  const { length, heads, headDim } = work.attention;
  const tokens = [length, heads, headDim];
  // Its own attention function needs Node 22; this is the same product, softmax, product.
  const attend = (q: JaxArray, key: JaxArray, v: JaxArray) => {
    const scores = np.matmul(q.transpose([1, 0, 2]), key.transpose([1, 2, 0])).mul(1 / Math.sqrt(headDim));
    return np.matmul(nn.softmax(scores, -1), v.transpose([1, 0, 2])).transpose([1, 0, 2]);
  };
  return {
    name: "jax-js",
    note: "attention as matmul, softmax, matmul",
    matmul: task((x, w) => np.matmul(x, w), [array(work.x, [m, k]), array(work.w, [k, n])]),
    attention: task(attend, [array(work.query, tokens), array(work.key, tokens), array(work.value, tokens)]),
    dispose: async () => {
      for (const a of owned) a.dispose();
    },
  };
}
