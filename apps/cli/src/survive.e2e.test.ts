/** Runs that are killed, stopped, or lose what they write to: nothing half written, nothing lost but the step at work. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid, platform } from "node:process";
import { readSafetensors } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEVICE, events, MAIN, runCli, TINY } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-survive-"));
afterAll(() => rm(folder, { recursive: true }));

const STEPS = 6;
const SMALL = [
  ...["--num-frames", "9", "--height", "32", "--width", "48", "--steps", String(STEPS)],
  ...["--max-sequence-length", "16", "--seed", "11", "--prompt", "A fox."],
];
/** What is remembered between steps: UniPC's history, and key frames that move with the step's number. */
const SPARSE = [
  "--lvsa",
  "--window-size",
  "4",
  "--n-first-frames",
  "4",
  "--key-frame-interval",
  "8",
  "--rotate-keyframes",
];
/** Of the demo model, whose steps take long enough for something to happen in them. */
const DEMO_RUN = ["generate", ...DEVICE, ...SMALL, ...SPARSE];
const RUN = [...DEMO_RUN, "--model", TINY, "--checkpoint-every", "1"];

interface Whole {
  readonly latents: Buffer;
  readonly video: Buffer;
  readonly milliseconds: number;
  /** Events that it told. */
  readonly lines: number;
}

/** What the run gives that nothing happens to. */
async function wholeRun(args: readonly string[], name: string): Promise<Whole> {
  const output = join(folder, name);
  const latents = `${output}.safetensors`;
  const started = performance.now();
  const run = await runCli([...args, "--output", output, "--output-latent", latents, "--json"]);
  expect(run.code, run.stderr).toBe(0);
  const milliseconds = performance.now() - started;
  const lines = events(run.stdout).length;
  return { latents: await latentsIn(latents), video: await pixels(output), milliseconds, lines };
}

let whole: Whole;
beforeAll(async () => {
  whole = await wholeRun(RUN, "whole.png");
});

async function latentsIn(file: string): Promise<Buffer> {
  const { data } = (await readSafetensors(file)).latents!;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** An animated PNG without its texts, which hold paths and dates. */
async function pixels(file: string): Promise<Buffer> {
  const bytes = await readFile(file);
  const kept: Buffer[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (/IDAT|fdAT|fcTL/.test(bytes.toString("latin1", at + 4, at + 8)))
      kept.push(bytes.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return Buffer.concat(kept);
}

/** As in a test that fails: the same numbers again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("SIGKILL at any moment", () => {
  // CI does 20.
  const kills = Number(process.env.LVSA_KILLS ?? 6);
  const seed = Number(process.env.LVSA_KILL_SEED ?? Date.now() % 1e6);
  /** A line of the run's events, and milliseconds after it: starting takes longer than the steps. */
  interface Moment {
    readonly line: number;
    readonly after: number;
  }

  async function killAndFinish(name: string, { line, after }: Moment): Promise<void> {
    const own = join(folder, name);
    await mkdir(own);
    const output = join(own, "clip.png");
    const latents = join(own, "latents.safetensors");
    const outputs = ["--output", output, "--output-latent", latents];
    const child = spawn(process.execPath, [MAIN, ...RUN, ...outputs, "--json"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    // It may have ended before its time.
    const closed = new Promise((resolve) => child.once("close", resolve));
    const heard = new Promise<void>((resolve) => {
      let lines = 0;
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        lines += text.split("\n").length - 1;
        if (lines >= line) resolve();
      });
      if (line === 0) resolve();
    });
    await Promise.race([closed, heard]);
    await new Promise((resolve) => setTimeout(resolve, after));
    child.kill("SIGKILL");
    await closed;
    const left = (await readdir(own)).filter((file) => !file.startsWith("."));
    const kept = left.find((file) => file.includes(".state."));
    console.log(
      `SIGKILL ${Math.round(after)} ms after line ${line}: ${left.join(", ") || "nothing is there"}`,
    );
    // What has its name is whole.
    if (left.includes("clip.png")) expect((await pixels(output)).equals(whole.video)).toBe(true);
    if (left.includes("latents.safetensors"))
      expect((await latentsIn(latents)).equals(whole.latents)).toBe(true);
    const how = kept ?? left.find((file) => file.includes(".latents."));
    const finish = how ? ["resume", join(own, how), "--overwrite"] : [...RUN, "--overwrite", ...outputs];
    const { code, stderr } = await runCli(finish);
    expect(code, stderr).toBe(0);
    expect((await pixels(output)).equals(whole.video)).toBe(true);
    if (kept || !how) expect((await latentsIn(latents)).equals(whole.latents)).toBe(true);
    const names = (await readdir(own)).sort();
    // The lock of latents that nobody writes any more is taken over by the next who does.
    expect(names.filter((file) => !/^\.?latents/.test(file))).toEqual(["clip.png", "clip.png.json"]);
  }

  test(`${kills} times, then to the end: the same latents and frames (LVSA_KILL_SEED=${seed})`, {
    timeout: 60_000 + kills * 30_000,
  }, async () => {
    const random = randomOf(seed);
    const moments = Array.from({ length: kills }, (_, i): Moment => {
      const line = i % 5 === 0 ? 0 : 1 + Math.floor(random() * whole.lines);
      return { line, after: random() * (line === 0 ? whole.milliseconds : 40) };
    });
    // Two at a time, as tests have two processors.
    const lane = async (first: number) => {
      for (let kill = first; kill < kills; kill += 2) await killAndFinish(`kill-${kill}`, moments[kill]!);
    };
    await Promise.all([lane(0), lane(1)]);
  });
});

/** Starts a run and does something when it is after a step. */
async function at(step: number, args: readonly string[], act: (pid: number) => void | Promise<void>) {
  let acting: Promise<void> | undefined;
  const run = await runCli([...args, "--json"], {
    onOutput: (text, _interrupt, pid) => {
      if (
        acting ||
        !events(text.slice(0, text.lastIndexOf("\n"))).some((e) => e.event === "step" && e.step === step)
      )
        return;
      acting = Promise.resolve(act(pid));
    },
  });
  await acting;
  return run;
}

test("pause keeps the run, and resume ends it with the same bits; cancel keeps nothing", async () => {
  const output = join(folder, "paused.png");
  // Not on by itself for so short a run: pausing keeps it all the same.
  const args = [...DEMO_RUN, "--steps", "40", "--output", output];
  // What `lvsa pause` sends; sent from here, it comes in time for a step.
  const paused = await at(1, args, (pid) => void process.kill(pid, "SIGUSR2"));
  expect(paused.code).toBe(130);
  const file = `${output}.state.safetensors`;
  expect(events(paused.stdout).find(({ event }) => event === "kept")).toMatchObject({
    path: file,
    kind: "state",
  });
  const early = await runCli(["decode", file]);
  expect([early.code, early.stderr]).toEqual([2, expect.stringContaining("still noise")]);

  const changed = await runCli(["resume", file, "--model", join(folder, "nowhere")]);
  expect(changed.code).not.toBe(0);
  const { code, stderr, stdout } = await runCli(["resume", output, "--json"]);
  expect(code, stderr).toBe(0);
  expect(events(stdout).find(({ event }) => event === "start")?.done).toBeGreaterThan(1);
  expect((await readdir(folder)).filter((name) => /paused/.test(name)).sort()).toEqual([
    "paused.png",
    "paused.png.json",
  ]);
  const straight = await runCli([...args.slice(0, -1), `${output}.again.png`]);
  expect(straight.code, straight.stderr).toBe(0);
  expect((await pixels(output)).equals(await pixels(`${output}.again.png`))).toBe(true);

  const other = join(folder, "other.png");
  const long = [...DEMO_RUN, "--steps", "400", "--output", other];
  const left = async () => (await readdir(folder)).filter((name) => /other/.test(name));
  const stop = async (command: string) => {
    let said: ReturnType<typeof runCli> | undefined;
    const run = await at(0, long, () => {
      said = runCli([command, other]);
    });
    return { run, said: (await said)! };
  };
  const pause = await stop("pause");
  expect([pause.run.code, pause.said.code], pause.said.stderr).toEqual([130, 0]);
  const [kept] = await left();
  expect(pause.said.stdout).toBe(`Stopped. Go on with: lvsa resume ${join(folder, kept!)}\n`);
  await rm(join(folder, kept!));
  const cancel = await stop("cancel");
  expect([cancel.run.code, cancel.said.code], cancel.said.stderr).toEqual([143, 0]);
  expect(await left()).toEqual([]);
  expect((await runCli(["cancel", other])).code).toBe(2);
});

test("two runs of one output: one whole result, and a refusal by name", async () => {
  const output = join(folder, "twice.png");
  let second: ReturnType<typeof runCli> | undefined;
  const first = await at(0, [...DEMO_RUN, "--steps", "30", "--output", output], (pid) => {
    second = runCli([...DEMO_RUN, "--output", output]).then((run) => {
      expect(run.stderr).toContain(`process ${pid} is writing this output`);
      return run;
    });
  });
  expect(first.code, first.stderr).toBe(0);
  expect((await second!).code).toBe(1);
  expect((await readdir(folder)).filter((name) => /twice/.test(name)).sort()).toEqual([
    "twice.png",
    "twice.png.json",
  ]);
});

test("the output's folder is removed, and something else is in its place: the latents are elsewhere, and decode", async () => {
  const own = join(folder, "removed");
  const elsewhere = join(folder, "elsewhere");
  await mkdir(elsewhere);
  const output = join(own, "clip.png");
  const { code, stdout, stderr } = await at(
    STEPS - 1,
    [...RUN.slice(0, -2), "--output", output],
    async () => {
      await rm(own, { recursive: true, force: true });
      await writeFile(own, "in the way");
    },
  );
  expect(code, stderr).toBe(1);
  const kept = events(stdout).find(({ event }) => event === "kept") as { path: string } | undefined;
  expect(kept, stderr).toBeDefined();
  expect((await latentsIn(kept!.path)).equals(whole.latents)).toBe(true);
  const again = join(folder, "again.png");
  const decoded = await runCli(["decode", ...DEVICE, kept!.path, "--output", again]);
  await rm(kept!.path);
  expect(decoded.code, decoded.stderr).toBe(0);
  expect((await pixels(again)).equals(whole.video)).toBe(true);
});

test("a full disk: known before the run, or the latents are kept where there is room", async (context) => {
  const disk = join(folder, "disk");
  await mkdir(disk);
  const mount = (size: string) =>
    spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk]).status === 0;
  if (platform !== "linux" || getuid?.() !== 0 || !mount("40k")) {
    context.skip("no right to mount a small disk here");
    return;
  }
  try {
    const before = await runCli([...RUN, "--output", join(disk, "clip.png")]);
    expect([before.code, before.stderr]).toEqual([1, expect.stringMatching(/disk has .* left/)]);
    expect(await readdir(disk)).toEqual([]);
    spawnSync("umount", [disk]);
    mount("2m");
    const output = join(disk, "clip.png");
    const full = await at(STEPS - 1, [...RUN.slice(0, -2), "--output", output], () => {
      spawnSync("dd", ["if=/dev/zero", `of=${join(disk, "filler")}`, "bs=4k"]);
    });
    expect(full.code).toBe(1);
    expect(full.stderr).toMatch(/clip\.png.*ENOSPC[\s\S]*Free some space|no space/);
    const kept = events(full.stdout).find(({ event }) => event === "kept") as { path: string };
    expect((await latentsIn(kept.path)).equals(whole.latents)).toBe(true);
    // A few kilobytes of latents may fit where the video does not.
    const others = (await readdir(disk)).filter((name) => join(disk, name) !== kept.path);
    expect(others).toEqual(["filler"]);
    await rm(kept.path);
  } finally {
    spawnSync("umount", [disk]);
  }
});

describe("streams that fail do not end a run", () => {
  const shell = (script: string) => {
    const run = [process.execPath, MAIN, ...RUN.slice(0, -2), "--output"]
      .map((word) => `'${word}'`)
      .join(" ");
    return spawnSync("bash", ["-c", script.replaceAll("RUN", run)], { encoding: "utf8", timeout: 120_000 });
  };
  test.each([
    [
      "a reader that has seen enough",
      `RUN OUT --json 2>/dev/null | head -n 1 >/dev/null; exit \${PIPESTATUS[0]}`,
    ],
    ["errors that nobody reads", `RUN OUT 2>&1 >/dev/null | head -n 1 >/dev/null; exit \${PIPESTATUS[0]}`],
    ["a full disk on standard output", `RUN OUT --json >/dev/full`],
    ["no streams at all", `RUN OUT >&- 2>&-`],
    ["a reader that sleeps", `RUN OUT --json 2>/dev/null | sleep 40; exit \${PIPESTATUS[0]}`],
  ])("%s", async (name, script) => {
    const output = join(folder, `${name.replaceAll(" ", "-")}.png`);
    const started = performance.now();
    const { status, stderr } = shell(script.replaceAll("OUT", `'${output}'`).replace("sleep 40", "sleep 5"));
    expect(status, `${stderr} after ${Math.round(performance.now() - started)} ms`).toBe(0);
    expect((await pixels(output)).equals(whole.video)).toBe(true);
    expect(existsSync(`${output}.json`)).toBe(true);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test("where standard output is the product, a full disk is a failure, and enough is enough", () => {
    const plan = `'${process.execPath}' '${MAIN}' plan wan2.1-t2v-1.3b --device none --json`;
    const full = spawnSync("bash", ["-c", `${plan} >/dev/full`], { encoding: "utf8" });
    expect([full.status, full.stderr]).toEqual([
      1,
      expect.stringMatching(/standard output could not be written: ENOSPC/),
    ]);
    expect(full.stderr).not.toMatch(/^ +at /m);
    const head = spawnSync("bash", ["-c", `${plan} | head -n 1; exit \${PIPESTATUS[0]}`], {
      encoding: "utf8",
    });
    expect([head.status, head.stdout, head.stderr]).toEqual([0, "{\n", ""]);
  });
});
