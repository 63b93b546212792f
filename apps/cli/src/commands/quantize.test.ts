import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { nodeFolder } from "@lvsa/runtime/node";
import { expect, it } from "vitest";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { runProgram } from "../program.js";

async function run(...args: string[]) {
  const [out, err, drawn]: [string[], string[], string[]] = [[], [], []];
  const io = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    redraw: (text: string) => void drawn.push(text),
    isTerminal: false,
  };
  const code = await runProgram(args, io);
  return { code, out: out.join(""), err: err.join(""), drawn };
}

it("writes a folder that is whole, and leaves none where it can not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lvsa-quantize-"));
  for (const format of ["q8_0", "fp8"]) {
    const output = join(folder, format);
    const done = await run("quantize", BUNDLED_MODEL, "--to", format, "--output", output);
    expect(done.err).toMatch(/transformer: \d+ matrices/);
    expect(done.code).toBe(0);
    // No terminal: whole lines, and few of them.
    expect(done.drawn[0]).toMatch(/^\w+: 1\/\d+ tensors\n$/);
    expect(done.drawn.filter((line) => !/^\w+: [\d/]+ tensors\n$/.test(line))).toEqual([]);
    expect(done.drawn.length).toBeLessThan(10);
    const inspection = await inspectCheckpoint(nodeFolder(output));
    expect(inspection.components.flatMap(({ problems }) => problems)).toEqual([]);
    const transformer = inspection.components.find(({ name }) => name === "transformer")!;
    expect(Object.keys(transformer.dtypes)).toContain(format === "fp8" ? "F8_E4M3" : "Q8_0");
    const again = await run("quantize", BUNDLED_MODEL, "--to", format, "--output", output);
    expect(again.code).toBe(2);
  }
  const bad = await run(
    "quantize",
    BUNDLED_MODEL,
    "--to",
    "q8_0",
    "--components",
    "vae",
    "--output",
    join(folder, "x"),
  );
  expect(bad.err).toContain("vae can not be quantized");
  expect((await run("quantize", BUNDLED_MODEL, "--to", "int3")).code).toBe(2);
  expect((await readdir(folder)).sort()).toEqual(["fp8", "q8_0"]);
});
