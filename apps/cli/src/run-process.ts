/** The program as a process: streams, signals' exit codes, the end. */
import { EXIT } from "./exit-codes.js";
import { processIo } from "./io.js";
import { runProgram } from "./program.js";

/** Commands whose product is a file: what is said on the way may be lost. */
const MAKES_FILES = new Set(["generate", "resume", "decode"]);

export async function runProcess(args: readonly string[]): Promise<never> {
  const io = processIo();
  // A worker that started this process as its child is gone: nobody waits for the result, and what there is is kept.
  process.channel?.unref();
  process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
  let code = await runProgram(args, io);
  await Promise.all([io.stdout.drain(), io.stderr.drain()]);
  const lost = io.stdout.error;
  // A reader that has seen enough (`lvsa plan … | head`) is no failure; a disk that took half of the plan is one.
  if (lost && lost.code !== "EPIPE") {
    const isProduct = !MAKES_FILES.has(args[0] ?? "");
    if (isProduct && code === EXIT.done) code = EXIT.failed;
    io.err(`${isProduct ? "error" : "warning"}: standard output could not be written: ${lost.message}\n`);
    await io.stderr.drain();
  }
  // Live WebGPU objects would keep the process running.
  process.exit(code);
}
