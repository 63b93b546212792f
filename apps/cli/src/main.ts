#!/usr/bin/env node
import { processIo } from "./io.js";
import { runProgram } from "./program.js";

// A closed pipe (`lvsa … | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
const code = await runProgram(process.argv.slice(2), processIo());
// Live WebGPU objects would keep the process running; pipes must be empty first.
await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
process.exit(code);
