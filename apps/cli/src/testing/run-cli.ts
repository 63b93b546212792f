/** Runs the built command line as a process. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** The smallest checkpoint: what a run takes is the start of the program. */
export const TINY = fileURLToPath(new URL("../../../../fixtures/tiny-wan", import.meta.url));

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunCliOptions {
  /** Variables on top of this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Sees standard output as it grows; `interrupt` is Ctrl-C, or another signal. */
  readonly onOutput?: (stdout: string, interrupt: (signal?: NodeJS.Signals) => void, pid: number) => void;
}

/** The adapter that tests run on, as options of `lvsa generate`. */
export const DEVICE: readonly string[] = ["--device", process.env.LVSA_TEST_ADAPTER || "auto"];

export function runCli(args: readonly string[], options: RunCliOptions = {}): Promise<CliRun> {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is not there: run \`pnpm build\` first`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      options.onOutput?.(stdout, (signal = "SIGINT") => child.kill(signal), child.pid!);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Events of `--json`. */
export function events(stdout: string): Record<string, unknown>[] {
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
