/** One generation in several processes: what it makes, and how it ends when one of them does. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, relativeL2 } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEVICE, MAIN, runCli, TINY } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-ranks-test-"));
afterAll(() => rm(folder, { recursive: true }));

const CLIP = [
  ...["generate", ...DEVICE, "--model", TINY, "--prompt", "A fox.", "--max-sequence-length", "16"],
  ...["--num-frames", "25", "--height", "32", "--width", "48", "--seed", "5"],
];
const STEPS = ["--steps", "3"];
const SPARSE = ["--lvsa", "--window-size", "4", "--n-first-frames", "1", "--key-frame-interval", "12"];
/** Of sums in another order, as in `parallel.gpu.test.ts`. */
const ROUNDING = 1e-5;

async function latents(name: string, args: readonly string[]): Promise<number[]> {
  const file = join(folder, `${name}.safetensors`);
  const { code, stderr } = await runCli([...CLIP, ...args, "--output-latent", file]);
  expect(code, stderr).toBe(0);
  return [...((await readSafetensors(file)).latents!.data as Float32Array)];
}

let alone: number[];
beforeAll(async () => {
  alone = await latents("alone", [...STEPS, ...SPARSE]);
});

test("guidance on two processes makes the same latents, bit by bit", async () => {
  expect(await latents("guidance", [...STEPS, ...SPARSE, "--cfg-parallel-size", "2"])).toEqual(alone);
});

test("a clip on two processes makes them up to rounding, and says where it ran", async () => {
  const shared = await latents("context", [...STEPS, ...SPARSE, "--context-parallel-size", "2"]);
  expect(relativeL2(shared, alone)).toBeLessThan(ROUNDING);
  const dense = await latents("dense", STEPS);
  expect(relativeL2(dense, alone)).toBeGreaterThan(100 * ROUNDING);
});

describe.skipIf(process.platform !== "linux")("processes that end", () => {
  const LONG = ["--steps", "40", "--context-parallel-size", "2", "--checkpoint-every", "1"];

  /** A run at work: some steps are done, and its ranks are there. */
  async function atWork(name: string): Promise<{
    readonly child: ChildProcess;
    readonly ranks: number[];
    readonly said: () => string;
    readonly closed: Promise<number | null>;
  }> {
    const output = join(folder, `${name}.safetensors`);
    const child = spawn(process.execPath, [MAIN, ...CLIP, ...LONG, "--output-latent", output, "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
    await expect.poll(() => said, { timeout: 60_000 }).toMatch(/"event":"step"[^\n]*\n[^\n]*"event":"step"/s);
    const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
    const ranks = children.trim().split(" ").map(Number);
    expect(ranks).toHaveLength(1);
    return { child, ranks, said: () => said, closed };
  }

  const shared = async () =>
    existsSync("/dev/shm")
      ? (await readdir("/dev/shm")).filter((name) => name.startsWith("lvsa-ranks-"))
      : [];
  const isThere = (pid: number) => existsSync(`/proc/${pid}`);

  test("a rank that is killed ends the run with its number, and the run can be continued", async () => {
    const before = await shared();
    const run = await atWork("killed");
    process.kill(run.ranks[0]!, "SIGKILL");
    expect(await run.closed).toBe(1);
    expect(run.said()).toContain('"code":"RANK_LOST"');
    expect(run.said()).toMatch(/rank 1 of 2 ended with SIGKILL/);
    await expect.poll(shared).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.startsWith("killed"))).toEqual([
      "killed.safetensors.state.safetensors",
    ]);
  });

  test("without the process that leads it the others end by themselves, and leave nothing in memory", async () => {
    const before = await shared();
    const run = await atWork("led");
    run.child.kill("SIGKILL");
    await run.closed;
    await expect.poll(() => run.ranks.filter(isThere), { timeout: 20_000 }).toEqual([]);
    await expect.poll(shared).toEqual(before);
  });

  test("Ctrl-C keeps the run, and resume goes on with as many ranks", async () => {
    const run = await atWork("stopped");
    run.child.kill("SIGINT");
    expect(await run.closed).toBe(130);
    await expect.poll(() => run.ranks.filter(isThere), { timeout: 20_000 }).toEqual([]);
    const { code, stderr } = await runCli(["resume", join(folder, "stopped.safetensors.state.safetensors")]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("on each of 2 ranks (frames on 2)");
    const resumed = (await readSafetensors(join(folder, "stopped.safetensors"))).latents!.data;
    const whole = await latents("whole", LONG);
    expect([...(resumed as Float32Array)]).toEqual(whole);
  });
});

test("devices are named for each rank, or not at all", async () => {
  const wrong = await runCli([...CLIP, "--context-parallel-size", "2", "--devices", "a,b,c"]);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("names 3 devices for 2 ranks");
  const single = await runCli([...CLIP, "--devices", "a"]);
  expect(single.stderr).toContain("one device is --device");
  const short = await runCli([...CLIP, "--context-parallel-size", "9", ...STEPS]);
  expect(short.code, short.stderr).toBe(2);
  expect(short.stderr).toContain("9 ranks share the clip frame by frame, and it has 7 latent frames");
});
