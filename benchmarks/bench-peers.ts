/** Our matmul and dense attention against other engines', taking turns in one process on one adapter. */
import { type Candidate, type InterleavedOptions, timeInterleaved } from "@lvsa/core/bench";
import { type Device, deviceLabel, kernelSummary } from "@lvsa/runtime";
import { type AttentionShape, createWorkload, type Engine, type MatmulShape } from "./engine.ts";
import { createOurEngines, OURS } from "./our-engine.ts";
import { loadPeers } from "./peers.ts";

export interface PeerRow {
  readonly kernel: "matmul" | "attention";
  readonly shape: string;
  readonly engine: string;
  /** Of the best turn. */
  readonly milliseconds: number;
  /** Processor time of all threads in the least busy run: on software adapters load disturbs it less than wall time. */
  readonly cpuMilliseconds: number;
  /** 2 M N K for matmul, 4 L L D H for attention, over the best turn. */
  readonly gflops: number;
  /** ||theirs - ours|| / ||ours||. */
  readonly difference: number;
  /** Whether it did the same work: `difference` at most `SAME_WORK`. */
  readonly correct: boolean;
  /** Their time over ours, where ours copies exactly if theirs does; above 1 ours is faster. None for wrong results. */
  readonly ratio: number | undefined;
  readonly note: string;
}

export interface PeerBench {
  readonly device: string;
  /** Of ours, as `linear: lanes`. */
  readonly kernels: string;
  readonly rows: readonly PeerRow[];
  /** Engines that are not installed or did not start, with the reason. */
  readonly missing: readonly string[];
}

export interface PeerBenchOptions extends InterleavedOptions {
  readonly matmul?: readonly MatmulShape[];
  readonly attention?: AttentionShape;
}

/** f32 sums of up to some thousand terms in another order differ by 1e-6 to 1e-5; a wrong kernel by percents. */
export const SAME_WORK = 1e-4;

const MATMULS: readonly MatmulShape[] = [
  { m: 1024, k: 1024, n: 1024 },
  { m: 1000, k: 1536, n: 1536 },
];
const ATTENTION: AttentionShape = { length: 1024, heads: 4, headDim: 64 };

/** Best of at least 5 turns each. Leaves the WebGPU globals that jax-js needs in place. */
export async function benchPeers(device: Device, options: PeerBenchOptions = {}): Promise<PeerBench> {
  const { matmul = MATMULS, attention = ATTENTION } = options;
  const rows: PeerRow[] = [];
  const missing = new Set<string>();
  for (const [i, shape] of matmul.entries()) {
    const work = createWorkload(shape, attention);
    const ours = createOurEngines(device, work);
    const peers = await loadPeers(work);
    for (const reason of peers.missing) missing.add(reason);
    const engines = [...ours, ...peers.engines];
    try {
      rows.push(...(await benchKernel(device, engines, "matmul", shape, options)));
      // Attention is the same for every matmul: once is enough.
      if (i === 0) rows.push(...(await benchKernel(device, engines, "attention", attention, options)));
    } finally {
      for (const engine of engines) await engine.dispose();
    }
  }
  return {
    device: deviceLabel(device.info),
    kernels: kernelSummary(device.kernelUses()),
    rows,
    missing: [...missing],
  };
}

async function benchKernel(
  device: Device,
  all: readonly Engine[],
  kernel: PeerRow["kernel"],
  shape: MatmulShape | AttentionShape,
  options: InterleavedOptions,
): Promise<PeerRow[]> {
  const engines = all.filter((engine) => engine[kernel]);
  const cpu = engines.map(() => Number.POSITIVE_INFINITY);
  const candidates: Candidate[] = engines.map((engine, i) => ({
    name: engine.name,
    run: async () => {
      const start = process.cpuUsage();
      await engine[kernel]!.run();
      const { user, system } = process.cpuUsage(start);
      cpu[i] = Math.min(cpu[i]!, (user + system) / 1000);
    },
    // Every engine's run waits for its own work.
    settle: async () => {},
  }));
  const times = await timeInterleaved(device, candidates, options);
  const want = await engines.find(({ name }) => name === OURS)![kernel]!.result();
  const rows: PeerRow[] = [];
  for (const [i, { name, milliseconds }] of times.entries()) {
    const { copies, attentionNote } = engines[i]!;
    const difference = relativeDifference(await engines[i]![kernel]!.result(), want);
    const correct = difference <= SAME_WORK;
    // Ours come first, so that the first of the same kind is ours.
    const baseline = times[engines.findIndex((engine) => engine.copies === copies)]!;
    rows.push({
      kernel,
      shape: label(shape),
      engine: name,
      milliseconds,
      cpuMilliseconds: cpu[i]!,
      gflops: flops(shape) / milliseconds / 1e6,
      difference,
      correct,
      ratio: correct ? milliseconds / baseline.milliseconds : undefined,
      note: [
        ...(kernel === "attention" ? [attentionNote] : []),
        ...(copies ? ["copies in and out"] : []),
      ].join("; "),
    });
  }
  return rows;
}

function flops(shape: MatmulShape | AttentionShape): number {
  return "m" in shape
    ? 2 * shape.m * shape.n * shape.k
    : 4 * shape.length * shape.length * shape.headDim * shape.heads;
}

function label(shape: MatmulShape | AttentionShape): string {
  return "m" in shape
    ? `M ${shape.m} N ${shape.n} K ${shape.k}`
    : `L ${shape.length} H ${shape.heads} D ${shape.headDim}`;
}

/** NaN or another length gives Infinity: never the same work. */
function relativeDifference(got: Float32Array, want: Float32Array): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  const difference = Math.sqrt(error / norm);
  return got.length === want.length && !Number.isNaN(difference) ? difference : Number.POSITIVE_INFINITY;
}
