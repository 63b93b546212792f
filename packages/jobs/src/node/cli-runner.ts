/**
 * Runs a job by the command line, `lvsa generate`, in a process of its own: the worker's event loop stays free. What a
 * process kept beside its output before it was killed or stopped goes on with `lvsa resume`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { ConfigError, checkOptionKinds, LvsaError } from "@lvsa/runtime/errors";
import type { JobRecord, JobResult } from "../job.js";
import { type Runner, type RunnerContext, RunnerDiedError } from "./worker.js";

export interface CliRunnerOptions {
  /** The command before its arguments, e.g. `["node", "…/lvsa/dist/main.js"]`. */
  readonly command: readonly [string, ...string[]];
  /** Folders of checkpoints by the names that requests give them. */
  readonly models: ReadonlyMap<string, string>;
  /** Further arguments of every `generate` and `resume`, e.g. `["--device", "embedded"]`. */
  readonly args?: readonly string[];
  /** Further arguments of every `generate`, e.g. `["--preview=png"]`; `resume` goes on with them. */
  readonly generateArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** After so long a process that was asked to stop is killed; default 10 s. */
  readonly graceMs?: number;
}

export const VIDEO_FILE = "video.mp4";

/** What `--preview=png` writes beside it while the video is in progress: an animated PNG. */
export const PREVIEW_FILE = `${VIDEO_FILE}.preview.png`;

/** @throws UsageError `BAD_OPTION` for options that are unknown or of another kind */
export function cliRunner(options: CliRunnerOptions): Runner {
  checkOptionKinds(
    {
      ...{ command: "array", models: "object", args: "array", generateArgs: "array" },
      ...{ env: "object", graceMs: "number" },
    },
    options,
    "cliRunner",
  );
  return {
    async run(job, context) {
      await removeForeignLocks(context.folder);
      for (;;) {
        try {
          return await attempt(job, context);
        } catch (error) {
          // The process of a worker that died ends by itself after its step, and keeps what it has.
          if ((error as LvsaError).code !== "OUTPUT_IN_USE" || context.signal.aborted) throw error;
          await setTimeout(1000);
        }
      }
    },
  };

  async function attempt(job: JobRecord, { folder, signal, onProgress }: RunnerContext): Promise<JobResult> {
    const [program, ...first] = options.command;
    const work = (await hasKept(folder))
      ? ["resume", "--json", join(folder, VIDEO_FILE), ...(options.args ?? [])]
      : generateArguments(job, folder, options);
    const args = [...first, ...work];
    const child = spawn(program, args, {
      cwd: folder,
      // The channel: when this worker dies, the process hears of it and stops.
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, ...options.env },
    });
    let kill: NodeJS.Timeout | undefined;
    const stop = () => {
      child.kill("SIGTERM");
      kill = globalThis.setTimeout(() => child.kill("SIGKILL"), options.graceMs ?? 10_000);
    };
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    let result: JobResult | undefined;
    let failure: LvsaError | undefined;
    let lastWords = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      lastWords = (lastWords + text).slice(-2000);
    });
    const lines = createInterface({ input: child.stdout! });
    lines.on("line", (line) => {
      const event = parseEvent(line);
      if (event.event === "step")
        onProgress({ progress: (90 * (Number(event.step) + 1)) / Number(event.steps) });
      if (event.event === "stage" && event.stage === "decode")
        onProgress({ progress: 90 + (9 * Number(event.done)) / Math.max(1, Number(event.total)) });
      if (event.event === "error") failure = new LvsaError(String(event.code), String(event.message));
      if (event.event === "result") {
        const { width, height, frames, fps } = event as unknown as Omit<JobResult, "file" | "bytes">;
        result = { file: VIDEO_FILE, bytes: 0, width, height, frames, fps };
      }
    });
    try {
      // `close`: after the last byte of its output.
      const [code, killedBy] = (await once(child, "close")) as [number | null, string | null];
      if (code === 0 && result) return { ...result, bytes: (await stat(join(folder, VIDEO_FILE))).size };
      if (failure) throw failure;
      throw new RunnerDiedError(`the process ended with ${killedBy ?? `code ${code}`}: ${lastWords.trim()}`);
    } finally {
      clearTimeout(kill);
      signal.removeEventListener("abort", stop);
    }
  }
}

/** Locks of machines that are gone: the queue gave the job to this worker, so nobody else has it. */
async function removeForeignLocks(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".lock")) continue;
    const lock = join(folder, name);
    const { host } = parseEvent(await readFile(lock, "utf8").catch(() => ""));
    if (host !== undefined && host !== hostname()) await rm(lock, { force: true });
  }
}

/** Whether a former attempt left a state, or latents that only want decoding. */
async function hasKept(folder: string): Promise<boolean> {
  const files = ["state", "latents"].map((kind) => join(folder, `${VIDEO_FILE}.${kind}.safetensors`));
  const found = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return found.some((file) => file?.isFile());
}

/**
 * What `lvsa` is called with for a job that nobody began yet.
 *
 * @param folder the job's own; its video and its picture lie there
 * @throws ConfigError `MODEL_UNKNOWN`
 */
export function generateArguments(
  job: Pick<JobRecord, "request">,
  folder: string,
  options: Pick<CliRunnerOptions, "models" | "args" | "generateArgs">,
): string[] {
  const { request } = job;
  const model = options.models.get(request.model);
  if (model === undefined)
    throw new ConfigError("MODEL_UNKNOWN", `this worker has no model ${JSON.stringify(request.model)}`, {
      fix: "Give all workers of a queue the same models.",
    });
  const flags: Record<string, string | number | undefined> = {
    "--model": model,
    "--prompt": request.prompt,
    "--negative-prompt": request.negativePrompt,
    "--width": request.width,
    "--height": request.height,
    "--num-frames": request.numFrames,
    "--fps": request.fps,
    "--steps": request.numInferenceSteps,
    "--guidance": request.guidanceScale,
    "--flow-shift": request.flowShift,
    "--seed": request.seed,
    "--image": request.image && join(folder, request.image),
    "--output": join(folder, VIDEO_FILE),
  };
  // One word each: a prompt that begins with a dash is a prompt all the same.
  const words = Object.entries(flags).flatMap(([flag, value]) =>
    value === undefined ? [] : [`${flag}=${value}`],
  );
  return [
    "generate",
    "--json",
    "--overwrite",
    "--checkpoint-every=1",
    ...words,
    ...(request.lvsa ? ["--lvsa"] : []),
    ...(options.generateArgs ?? []),
    ...(options.args ?? []),
  ];
}

function parseEvent(line: string): Record<string, unknown> {
  try {
    const event: unknown = JSON.parse(line);
    return typeof event === "object" && event !== null ? (event as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
