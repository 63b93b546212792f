/** Rank 0's side: starts a process for each other rank, and ends them with the run. */
import { type ChildProcess, spawn } from "node:child_process";
import type { ParallelOptions } from "@lvsa/diffusion";
import { ProcessGroup } from "@lvsa/diffusion/node";
import { DeviceError } from "@lvsa/runtime";
import { type ParallelFields, worldSize } from "../options/parallel-options.js";
import { groupsOf, type RankTask } from "./rank-task.js";

/** Of what a process writes before it dies, the end. */
const LAST_WORDS = 2000;

export interface Ranks extends AsyncDisposable {
  /** For the pipeline; undefined where there is one rank. */
  readonly parallel: ParallelOptions | undefined;
  /** Fires when the run can not go on without a rank that failed; its reason is the error. */
  readonly lost: AbortSignal | undefined;
  /** Ends the other ranks. */
  close(): Promise<void>;
}

const ALONE: Ranks = {
  parallel: undefined,
  lost: undefined,
  close: async () => {},
  [Symbol.asyncDispose]: async () => {},
};

/** @throws DeviceError when the folder of shared memory can not be made */
export async function startRanks(options: ParallelFields, task: RankTask): Promise<Ranks> {
  const size = worldSize(options);
  if (size === 1) return ALONE;
  const group = await ProcessGroup.open({ worldSize: size, task });
  const children: ChildProcess[] = [];
  let isClosing = false;
  const close = async () => {
    isClosing = true;
    // They hold nothing that is not freed with them.
    for (const child of children) child.kill("SIGKILL");
    await group.close();
  };
  for (let rank = 1; rank < size; rank++) {
    const child = spawn(
      process.execPath,
      [...process.execArgv, process.argv[1]!, "rank", group.address, String(rank)],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-LAST_WORDS);
    });
    const gone = (how: string) => {
      if (!isClosing && how !== "code 0") group.fail(rankGone(rank, size, how, words), rank);
    };
    child.on("error", (error) => gone(error.message));
    // After its streams are read to their ends.
    child.on("close", (code, signal) => gone(signal ?? `code ${code}`));
    children.push(child);
  }
  const { context, guidance } = groupsOf(0, options);
  return {
    parallel: parallelOf(group, context, guidance),
    lost: group.lost,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What a rank's pipeline is given. */
export function parallelOf(
  group: ProcessGroup,
  context: readonly number[],
  guidance: readonly number[],
): ParallelOptions {
  return {
    ...(context.length > 1 ? { context: group.collective(context) } : {}),
    ...(guidance.length > 1 ? { guidance: group.collective(guidance) } : {}),
  };
}

function rankGone(rank: number, size: number, how: string, words: string): DeviceError {
  const said = words.trim();
  return new DeviceError(
    "RANK_LOST",
    `the process of rank ${rank} of ${size} ended with ${how}${said ? `, and said: ${said}` : ""}`,
    { fix: "Look at the system's log (out of memory?), and continue the run or run it again." },
  );
}
