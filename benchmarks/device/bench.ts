/** What the programs of this folder that time kernels share: a device, warm clocks, numbers, JSON lines. */
import { appendFileSync } from "node:fs";
import type { Device, Tensor } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";

/** Height, width and channels of the convolutions of Wan 2.1's decoder at 832x480. */
export const DECODER_CONVOLUTIONS = [
  [60, 104, 384],
  [120, 208, 384],
  [240, 416, 192],
  [480, 832, 96],
] as const;

export interface BenchOptions {
  readonly label: string;
  /** One run of everything, cold: to see that it works. */
  readonly small: boolean;
  /** As for `createDevice`; said in every line. */
  readonly rules?: Readonly<Record<string, string>>;
}

export interface Bench {
  readonly device: Device;
  /** BENCH_SECONDS have passed. */
  isOver(): boolean;
  /** Prints a JSON line, and appends it to BENCH_OUT. */
  say(line: object): void;
  /** Milliseconds of one run: the best of several turns of at least 60 ms, after 250 ms that bring the clocks up. */
  time(run: () => void): Promise<number>;
  /** The same of several runs, whose turns follow each other in turn, and how many milliseconds recording one takes. */
  timeInTurns(runs: readonly (() => void)[]): Promise<{ readonly ms: number; readonly host: number }[]>;
  /** A tensor of noise, f16 on GPUs that compute in it, which lives until `clean`. Numbers up to four millions, then the same again. */
  upload(size: number[], seed: number, gain?: number): Tensor;
  clean(): Promise<void>;
}

/** `DAWN_FLAGS` are Dawn's, separated by `;`. Says first which device it is. */
export async function openBench({ label, small, rules = {} }: BenchOptions): Promise<Bench> {
  const seconds = Number(process.env.BENCH_SECONDS ?? Number.POSITIVE_INFINITY);
  const began = performance.now();
  const flags = (process.env.DAWN_FLAGS ?? "").split(";").filter(Boolean);
  const device = await createDevice({
    dawnFlags: flags,
    bounds: "checked",
    math: "fast",
    adapter: process.env.LVSA_TEST_ADAPTER ?? "auto",
    rules,
  });
  const dtype = device.info.f16 && device.info.hardware === "gpu" ? "f16" : "f32";

  const say = (line: object) => {
    const named = Object.keys(rules).length > 0 ? { rules } : {};
    const text = `${JSON.stringify({ what: "kernel", label, flags, ...named, ...line })}\n`;
    process.stdout.write(text);
    if (process.env.BENCH_OUT) appendFileSync(process.env.BENCH_OUT, text);
  };

  /** Milliseconds of one of `count` runs, and of recording it. */
  const turn = async (run: () => void, count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) run();
    const recorded = performance.now();
    await device.idle();
    return { ms: (performance.now() - start) / count, host: (recorded - start) / count };
  };
  const timeInTurns = async (runs: readonly (() => void)[]) => {
    const counts: number[] = [];
    for (const run of runs) {
      await turn(run, 1);
      const { ms } = await turn(run, 1);
      counts.push(small ? 1 : Math.max(1, Math.ceil(60 / ms)));
    }
    const warm = performance.now();
    do await turn(runs[0]!, counts[0]!);
    while (!small && performance.now() - warm < 250);
    const best = runs.map(() => ({ ms: Number.POSITIVE_INFINITY, host: Number.POSITIVE_INFINITY }));
    for (let i = 0; i < (small ? 1 : 4); i++) {
      for (const [r, run] of runs.entries()) {
        const { ms, host } = await turn(run, counts[r]!);
        best[r] = { ms: Math.min(best[r]!.ms, ms), host: Math.min(best[r]!.host, host) };
      }
    }
    return best;
  };

  const made: Tensor[] = [];
  const upload = (size: number[], seed: number, gain = 1) => {
    const count = size.reduce((a, b) => a * b, 1);
    const tensor = device.empty(size, dtype, { pinned: true });
    const flat = tensor.reshape([count]);
    const first = Math.min(count, 4_194_304 - 1536);
    const head = device.upload(noise(first, seed, gain), [first], dtype);
    for (let at = 0; at < count; at += first) {
      const from = head.rows(0, Math.min(first, count - at));
      const to = flat.rows(at, at + from.size);
      device.copyBytes(from, to);
      for (const view of [from, to]) view.dispose();
    }
    for (const view of [head, flat]) view.dispose();
    made.push(tensor);
    return tensor;
  };

  say({
    what: "device",
    device: device.info.description || device.info.device,
    kind: device.info.hardware,
    matrices: device.info.matrices.length,
    dtype,
  });
  return {
    device,
    isOver: () => performance.now() - began > 1000 * seconds,
    say,
    time: async (run) => (await timeInTurns([run]))[0]!.ms,
    timeInTurns,
    upload,
    clean: async () => {
      for (const t of made.splice(0)) t.dispose();
      await device.releaseMemory();
    },
  };
}

/** Numbers between -gain and gain, of 65,536 different ones. */
function noise(count: number, seed: number, gain: number): Float32Array {
  const table = new Float32Array(65536);
  let state = seed;
  for (let i = 0; i < table.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    table[i] = (state / 2147483648 - 1) * gain;
  }
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = table[state >>> 16]!;
  }
  return out;
}
