/** Programs besides Node that run our packages: Deno and Bun, where they are installed. */
import { spawnSync } from "node:child_process";

export interface Runtime {
  readonly name: "Deno" | "Bun";
  /** Undefined where it is not installed. */
  readonly program: string | undefined;
  /** In front of the file that is run. */
  readonly args: readonly string[];
  /** How it can be had, for who reads that a test was left out. */
  readonly missing: string;
}

/** Of the search path, or the one that the variable names. */
function found(name: string, variable: string): string | undefined {
  const program = process.env[variable] || name;
  return spawnSync(program, ["--version"]).status === 0 ? program : undefined;
}

export const runtimes: readonly Runtime[] = [
  {
    name: "Deno",
    program: found("deno", "LVSA_DENO"),
    args: ["run", "--allow-all", "--no-check"],
    missing: "nothing is run by Deno: install it (npm i deno), or name it in LVSA_DENO",
  },
  {
    name: "Bun",
    program: found("bun", "LVSA_BUN"),
    args: [],
    missing: "nothing is run by Bun: install it (npm i bun), or name it in LVSA_BUN",
  },
];
