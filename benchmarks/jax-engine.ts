/** jax-js (`@jax-js/jax`): its own WGSL, on the same Dawn as ours. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { create, globals } from "webgpu";
import type { Engine, EngineTask, Workload } from "./engine.ts";

const fromPeers = createRequire(new URL("./peers/package.json", import.meta.url));

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
  readonly nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    /** Of `[B, L, H, D]`. */
    dotProductAttention(query: JaxArray, key: JaxArray, value: JaxArray): JaxArray;
  };
}

/** @throws where it is not installed or finds no adapter. */
export async function createJaxEngines(work: Workload): Promise<Engine[]> {
  const entry = pathToFileURL(fromPeers.resolve("@jax-js/jax")).href;
  provideWebGpu();
  const jax = (await import(entry)) as Jax;
  if (!(await jax.init("webgpu")).includes("webgpu")) throw new Error("finds no WebGPU adapter");
  jax.defaultDevice("webgpu");
  const { numpy: np, nn, jit } = jax;
  const owned: JaxArray[] = [];
  const array = (data: Float32Array, shape: readonly number[]) => {
    const a = np.array(data).reshape(shape);
    owned.push(a);
    return a;
  };
  const task = (f: (...arrays: JaxArray[]) => JaxArray, inputs: readonly JaxArray[]): EngineTask => {
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
  const tokens = [1, length, heads, headDim];
  const composed = (q: JaxArray, key: JaxArray, v: JaxArray) => {
    const scores = np
      .matmul(q.transpose([0, 2, 1, 3]), key.transpose([0, 2, 3, 1]))
      .mul(1 / Math.sqrt(headDim));
    return np.matmul(nn.softmax(scores, -1), v.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3]);
  };
  // Its own attention calls iterator methods that Node has since version 22.
  const own = "Iterator" in globalThis;
  const attend = own
    ? (q: JaxArray, key: JaxArray, v: JaxArray) => nn.dotProductAttention(q, key, v)
    : composed;
  return [
    {
      name: "jax-js",
      attentionNote: own ? "dotProductAttention" : "matmul, softmax, matmul",
      copies: false,
      matmul: task((x, w) => np.matmul(x, w), [array(work.x, [m, k]), array(work.w, [k, n])]),
      attention: task(attend, [
        array(work.query, tokens),
        array(work.key, tokens),
        array(work.value, tokens),
      ]),
      dispose: async () => {
        for (const a of owned) a.dispose();
      },
    },
  ];
}

/**
 * It looks for WebGPU where browsers have it. Once per process: jax-js keeps its device, which dies, and the process
 * with it, when what `create` returned is collected.
 */
function provideWebGpu(): void {
  const holder: { navigator?: { gpu?: GPU } } = globalThis;
  if (holder.navigator?.gpu) return;
  Object.assign(globalThis, globals);
  const navigator = { gpu: create([]), userAgent: "node" };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
