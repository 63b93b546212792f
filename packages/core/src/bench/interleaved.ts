/** Timing that survives a busy machine: candidates take turns within one run, and the best turn of each counts. */
import { type Device, throwIfAborted } from "@lvsa/runtime";

export interface Candidate {
  readonly name: string;
  /** Does the work once; resolves when it may be done again. Anything it makes it also frees. */
  readonly run: () => void | Promise<void>;
  /** Waits until the work is done; default: the device is idle. */
  readonly settle?: () => Promise<void>;
}

export interface InterleavedOptions {
  /** Turns per candidate. Default 5. */
  readonly repeats?: number;
  /** Shortest turn: fast work is repeated within a turn. Default 20 ms. */
  readonly minMilliseconds?: number;
  /** How long work goes before any is timed, so that clocks are up. Default 250 ms on GPUs, 0 on software adapters. */
  readonly warmUpMilliseconds?: number;
  readonly signal?: AbortSignal;
}

export interface Timing {
  readonly name: string;
  /** Of one run, in the best turn. */
  readonly milliseconds: number;
  /** Of one run, in every turn. */
  readonly turns: readonly number[];
}

/** Warms every candidate up (drivers compile at first use), sizes its turns, then lets all take turns. */
export async function timeInterleaved(
  device: Device,
  candidates: readonly Candidate[],
  options: InterleavedOptions = {},
): Promise<Timing[]> {
  const { repeats = 5, minMilliseconds = 20, signal } = options;
  const warmUp = options.warmUpMilliseconds ?? (device.info.hardware === "gpu" ? 250 : 0);
  const turn = async (candidate: Candidate, runs: number): Promise<number> => {
    throwIfAborted(signal, "the benchmark");
    const start = performance.now();
    for (let i = 0; i < runs; i++) await candidate.run();
    await (candidate.settle ? candidate.settle() : device.idle());
    return (performance.now() - start) / runs;
  };
  const runsPerTurn: number[] = [];
  for (const candidate of candidates) {
    await turn(candidate, 1);
    let once = await turn(candidate, 1);
    // The clocks of a GPU that was idle are low.
    for (const start = performance.now(); performance.now() - start < warmUp; ) {
      once = await turn(candidate, Math.max(1, Math.ceil(minMilliseconds / Math.max(once, 0.01))));
    }
    runsPerTurn.push(Math.min(1000, Math.max(1, Math.ceil(minMilliseconds / Math.max(once, 0.01)))));
  }
  const turns: number[][] = candidates.map(() => []);
  for (let r = 0; r < repeats; r++) {
    for (const [i, candidate] of candidates.entries()) turns[i]!.push(await turn(candidate, runsPerTurn[i]!));
  }
  return candidates.map(({ name }, i) => ({
    name,
    milliseconds: Math.min(...turns[i]!),
    turns: turns[i]!,
  }));
}
