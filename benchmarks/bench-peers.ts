/** Our matmul and dense attention against other engines', taking turns in one process on one adapter. */
import { type Candidate, type InterleavedOptions, timeInterleaved } from "@lvsa/core/bench";
import { attention, type Device, deviceLabel, linear } from "@lvsa/runtime";
import { loadPeers, type PeerTask, type Workload } from "./peers.ts";

export interface PeerRow {
  readonly kernel: "matmul" | "attention";
  readonly engine: string;
  readonly milliseconds: number;
  readonly gflops: number;
  /** ||theirs - ours|| / ||ours||: that they did the same work. */
  readonly difference: number;
  readonly note: string;
}

export interface PeerBench {
  readonly device: string;
  readonly matmul: Workload["matmul"];
  readonly attention: Workload["attention"];
  readonly rows: readonly PeerRow[];
  /** Engines that are not installed or did not start, with the reason. */
  readonly missing: readonly string[];
}

export interface PeerBenchOptions extends InterleavedOptions {
  readonly matmul?: Workload["matmul"];
  readonly attention?: Workload["attention"];
}

export async function benchPeers(device: Device, options: PeerBenchOptions = {}): Promise<PeerBench> {
  const scale = device.info.isSoftware ? 1 : 8;
  const mm = options.matmul ?? { m: 512 * scale, k: 512 * scale, n: 512 * scale };
  const att = options.attention ?? { length: 1024 * scale, heads: 2 * scale, headDim: 64 };
  const size = att.length * att.heads * att.headDim;
  const wave = (count: number, step: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(i * step));
  const work: Workload = {
    matmul: mm,
    attention: att,
    x: wave(mm.m * mm.k, 0.37),
    w: wave(mm.k * mm.n, 0.73),
    query: wave(size, 0.31),
    key: wave(size, 0.17),
    value: wave(size, 0.23),
  };
  const { peers, missing } = await loadPeers(work);
  const ours = ourTasks(device, work);
  const all = [
    {
      name: "@lvsa/runtime",
      note: `tier ${device.tier}`,
      ...ours.tasks,
      dispose: async () => ours.dispose(),
    },
    ...peers,
  ];
  const rows: PeerRow[] = [];
  try {
    for (const kernel of ["matmul", "attention"] as const) {
      const candidates: Candidate[] = all.map((engine) => ({
        name: engine.name,
        run: () => engine[kernel].run(),
        settle: async () => {},
      }));
      const times = await timeInterleaved(device, candidates, options);
      const want = await ours.tasks[kernel].result();
      const flops =
        kernel === "matmul" ? 2 * mm.m * mm.k * mm.n : 4 * att.length * att.length * att.heads * att.headDim;
      for (const [i, { name, milliseconds }] of times.entries()) {
        const got = await all[i]![kernel].result();
        const gflops = flops / milliseconds / 1e6;
        rows.push({
          kernel,
          engine: name,
          milliseconds,
          gflops,
          difference: difference(got, want),
          note: all[i]!.note,
        });
      }
    }
  } finally {
    for (const engine of all) await engine.dispose();
  }
  return { device: deviceLabel(device.info), matmul: mm, attention: att, rows, missing };
}

function ourTasks(
  device: Device,
  work: Workload,
): { tasks: { matmul: PeerTask; attention: PeerTask }; dispose(): void } {
  const { m, k, n } = work.matmul;
  const { length, heads, headDim } = work.attention;
  const shape = [1, length, heads, headDim];
  const x = device.upload(work.x, [m, k]);
  // Checkpoints store weights as [N, K]: that is what `linear` takes.
  const transposed = Float32Array.from({ length: n * k }, (_, i) => work.w[(i % k) * n + Math.floor(i / k)]!);
  const weight = device.upload(transposed, [n, k]);
  const [query, key, value] = [work.query, work.key, work.value].map((data) =>
    device.upload(data, shape),
  ) as [typeof x, typeof x, typeof x];
  const task = (record: () => typeof x): PeerTask => ({
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
  return {
    tasks: {
      matmul: task(() => linear(device, x, weight)),
      attention: task(() => attention(device, { query, key, value }).output),
    },
    dispose: () => {
      for (const t of [x, weight, query, key, value]) t.dispose();
    },
  };
}

function difference(got: Float32Array, want: Float32Array): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    error += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return got.length === want.length ? Math.sqrt(error / norm) : Number.POSITIVE_INFINITY;
}
