/** The examples, started as their READMEs say, on the Node that runs this. */
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root, run } from "./testing/packed.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-examples-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** `npx tsx file ...args` in the example's folder. */
function start(example: string, args: readonly string[], extra: Record<string, string> = {}) {
  const place = join(root, "examples", example);
  const tsx = createRequire(join(place, "package.json")).resolve("tsx/cli");
  return run(process.execPath, [tsx, ...args], place, extra);
}

/** An engine of its own takes the machine's driver and knows nothing of the embedded one. */
const lacksDriver = (error: unknown) =>
  /no GPU driver found|no WebGPU adapter/.test(String((error as { stderr?: string }).stderr));

const families = [
  { name: "wan", checkpoint: "fixtures/tiny-wan", clip: ["9", "32", "48"] },
  { name: "hunyuan", checkpoint: "fixtures/reference/hunyuan/pipeline/checkpoint", clip: ["9", "32", "48"] },
  {
    name: "cogvideox",
    checkpoint: "fixtures/reference/cogvideox/pipeline/checkpoint",
    clip: ["9", "32", "48"],
  },
  { name: "cosmos3", checkpoint: "fixtures/reference/cosmos3/pipeline/checkpoint", clip: ["9", "32", "48"] },
];

describe("examples", () => {
  test.for(families)("$name writes a video", async ({ name, checkpoint, clip }, { skip }) => {
    if (!existsSync(join(root, checkpoint))) skip(`needs ${checkpoint}, which is not here`);
    const output = join(folder, `${name}.mp4`);
    const { stdout } = await start(name, [
      `${name}-generate.ts`,
      join(root, checkpoint),
      output,
      "A cat.",
      ...clip,
    ]);
    expect(stdout.trim().split(/\r?\n/).at(-1)).toBe(output);
    expect((await stat(output)).size).toBeGreaterThan(300);
  });

  test("foreign-host differs with its variable", async ({ skip }) => {
    const dense = await start("foreign-host", ["foreign-host.ts"]).catch((error: unknown) => {
      if (lacksDriver(error)) skip("needs a GPU driver of the machine");
      throw error;
    });
    const sparse = await start("foreign-host", ["foreign-host.ts"], { LVSA_WAN_HOOK: "1" });
    const line = /\d+ values, mean .+/;
    expect(dense.stdout).toMatch(line);
    expect(sparse.stdout).toMatch(line);
    expect(line.exec(sparse.stdout)?.[0]).not.toBe(line.exec(dense.stdout)?.[0]);
  });

  test("foreign-buffers says what it attended", async ({ skip }) => {
    const { stdout } = await start("foreign-buffers", ["main.ts"]).catch((error: unknown) => {
      if (lacksDriver(error)) skip("needs a GPU driver of the machine");
      throw error;
    });
    expect(stdout).toMatch(/^50 % of dense attention; 524288 values/m);
  });
});
