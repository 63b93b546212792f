/**
 * Memory seen from outside of the program: what the driver counts for the GPU, or, where the GPU is the processor, what
 * the operating system counts for this process.
 */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

export interface MemoryProbe extends Disposable {
  /** What is asked: `nvidia-smi` or `resident size`. */
  readonly source: string;
  /** Bytes that the device has in all, where the source tells. */
  readonly totalBytes: number | undefined;
  /** The most that was used since the last call, in bytes above what was used before the probe began. */
  takePeak(): Promise<number>;
}

const MEBI = 1024 * 1024;
const INTERVAL_MS = 50;

/**
 * What the driver of an NVIDIA GPU counts. Call it before the device is made, and dispose it. Undefined where there is
 * nobody to ask, or more than one GPU and none named: nobody says which of them WebGPU took.
 * @param gpu its number as `nvidia-smi` counts
 */
export function openDriverProbe(gpu?: number): MemoryProbe | undefined {
  const which = gpu === undefined ? [] : [`--id=${gpu}`];
  const query = (field: string) => {
    const run = spawnSync("nvidia-smi", [`--query-gpu=${field}`, "--format=csv,noheader,nounits", ...which]);
    return run.status === 0 ? String(run.stdout).trim().split("\n").map(Number) : [];
  };
  const [before, ...others] = query("memory.used");
  if (before === undefined || others.length > 0 || !Number.isFinite(before)) return undefined;
  const child = spawn(
    "nvidia-smi",
    ["--query-gpu=memory.used", "--format=csv,noheader,nounits", `--loop-ms=${INTERVAL_MS}`, ...which],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  let peak = 0;
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) peak = Math.max(peak, Number(line) || 0);
  });
  child.on("error", () => undefined);
  return {
    source: "nvidia-smi",
    totalBytes: (query("memory.total")[0] ?? 0) * MEBI || undefined,
    takePeak: async () => {
      peak = Math.max(peak, query("memory.used")[0] ?? 0);
      // Lines of the stream that are on their way belong to the past.
      await new Promise((next) => setTimeout(next, 3 * INTERVAL_MS));
      const taken = peak;
      peak = 0;
      return (taken - before) * MEBI;
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

/**
 * What this process takes: Linux tells the largest resident size since it was asked to forget it; elsewhere what is seen
 * now and then must do. Call it before the device is made, and dispose it.
 */
export function openResidentProbe(): MemoryProbe {
  const before = process.memoryUsage().rss;
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, INTERVAL_MS);
  timer.unref();
  return {
    source: "resident size",
    totalBytes: undefined,
    takePeak: async () => {
      const taken = Math.max(peak, highWaterMark() ?? 0, process.memoryUsage().rss);
      peak = 0;
      forgetHighWaterMark();
      return taken - before;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function forgetHighWaterMark(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Not Linux, or not allowed: then the mark is that of the whole run.
  }
}

function highWaterMark(): number | undefined {
  try {
    const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    return found ? Number(found[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}
