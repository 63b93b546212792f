import type { MemoryReport } from "@lvsa/runtime";
import { AbortError, WeightsError } from "@lvsa/runtime";
import { describe, expect, it, vi } from "vitest";
import { describeError, exitCodeOf, UsageError } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { profileTable, ruleLines } from "./profile-table.js";
import { formatDuration, progressLine, secondsPerStep } from "./progress-line.js";
import { ProgressMeter } from "./progress-meter.js";
import { createReporter } from "./reporter.js";

function recorder(isTerminal: boolean) {
  const said = { out: "", err: "" };
  const io: CommandIo = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    redraw: (text) => {
      said.err += text;
    },
    isTerminal,
  };
  return { said, io };
}
const memory: MemoryReport = {
  liveBytes: 2e9,
  peakBytes: 3e9,
  pinnedBytes: 1e9,
  pooledBytes: 0,
  heldBytes: 2e9,
  liveTensors: 1,
  createdBuffers: 1,
  createdBytes: 2e9,
};
const step = (index: number, seconds: number) => ({
  index,
  count: 4,
  timestep: 1000 - index,
  seconds,
  memory,
});

describe("progress", () => {
  it("redraws one line on a terminal, and clears it for other lines", () => {
    let text = "";
    const write = (part: string) => {
      text += part;
    };
    let now = 0;
    const meter = new ProgressMeter({ write, isTerminal: true, now: () => now });
    meter.show("a");
    now = 50;
    meter.show("too soon");
    now = 200;
    meter.show("b");
    meter.clear();
    meter.clear();
    expect(text).toBe("\r\x1b[2Ka\r\x1b[2Kb\r\x1b[2K");
  });

  it("writes plain lines elsewhere: the first, one in ten seconds, and what is forced", () => {
    const lines: string[] = [];
    let now = 0;
    const meter = new ProgressMeter({ write: (t) => lines.push(t), isTerminal: false, now: () => now });
    for (now = 0; now <= 25_000; now += 1000) meter.show(`${now / 1000}`);
    meter.show("end", true);
    meter.clear();
    expect(lines).toEqual(["0\n", "10\n", "20\n", "end\n"]);
  });

  it("says in any width how far it is and since when, the most important first", () => {
    const progress = {
      steps: { done: 3, total: 50 },
      part: 0.25,
      activity: { name: "loading transformer_2", short: "loading", share: 0.62 },
      elapsed: 3729,
      each: 12.5,
      rest: 590,
      memory: "20.1 GB (peak 33.4 GB)",
    };
    expect(progressLine(progress, 200)).toBe(
      "[#...................]  step 3/50 +25 %  loading transformer_2 62 %  1:02:09  12.50 s/step  ETA 9:50  20.1 GB (peak 33.4 GB)",
    );
    expect(progressLine(progress, 40)).toBe("step 3/50 +25 %  loading 62 %  1:02:09");
    expect(progressLine({ ...progress, activity: undefined }, 40)).toBe("step 3/50 +25 %  1:02:09  ETA 9:50");
    for (let columns = 1; columns < 120; columns++) {
      const line = progressLine(progress, columns);
      expect(line.length).toBeLessThan(Math.max(2, columns));
      if (columns > 35) expect(line).toMatch(/step 3\/50.*1:02:09/);
    }
  });

  it("moves on a terminal while nothing is heard, and stops at the end", () => {
    vi.useFakeTimers();
    try {
      const { said, io } = recorder(true);
      let now = 0;
      const reporter = createReporter({ ...io, columns: () => 40 }, { json: false, quiet: false }, () => now);
      reporter.begin(50, 0);
      reporter.stage({ stage: "load", component: "text_encoder", done: 1, total: 10 });
      for (now = 1000; now <= 3000; now += 1000) vi.advanceTimersByTime(1000);
      const lines = said.err.split("\r\x1b[2K").slice(1);
      expect(lines[0]).toBe("[....................]  step 0/50  0:00");
      expect(lines.slice(-3)).toEqual([1, 2, 3].map((second) => `step 0/50  loading 10 %  0:0${second}`));
      reporter[Symbol.dispose]();
      const { length } = said.err;
      vi.advanceTimersByTime(5000);
      expect(said.err).toHaveLength(length);
    } finally {
      vi.useRealTimers();
    }
  });

  it("does not count the first step, which compiles", () => {
    expect(secondsPerStep([9])).toBe(9);
    expect(secondsPerStep([9, 1, 2])).toBe(1.5);
    expect([0, 65, 3729].map(formatDuration)).toEqual(["0:00", "1:05", "1:02:09"]);
  });
});

describe("voices", () => {
  it("text: step, pace, time left and memory on standard error; log lines on standard output", () => {
    const { said, io } = recorder(false);
    let now = 0;
    const reporter = createReporter(io, { json: false, quiet: false }, () => now);
    reporter.begin(4, 0);
    reporter.log("[LVSA] installed");
    now = 9000;
    reporter.step(step(0, 9));
    now = 15_000;
    reporter.step(step(3, 2));
    expect(said.out).toBe("[LVSA] installed\n");
    expect(said.err.split("\n")).toEqual([
      "[....................]  step 0/4  0:00",
      "[#####...............]  step 1/4  0:09  9.00 s/step  ETA 0:27",
      "[####################]  step 4/4  0:15  2.00 s/step  ETA 0:00",
      "",
    ]);
  });

  it("json: every line is an object", () => {
    const { said, io } = recorder(true);
    const reporter = createReporter(io, { json: true, quiet: false });
    reporter.log("hello");
    for (let done = 0; done <= 100; done++)
      reporter.stage({ stage: "load", component: "vae", done, total: 100 });
    reporter.step(step(1, 2));
    reporter.error(new WeightsError("TRUNCATED", "cut off", { fix: "Download it again." }));
    const lines = said.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toEqual({ event: "log", line: "hello" });
    // The first and the last; the loop takes less than a second.
    expect(lines.filter(({ event }) => event === "stage").map(({ done }) => done)).toEqual([0, 100]);
    expect(lines.at(-2)).toMatchObject({ event: "step", step: 1, steps: 4, memory: { live_bytes: 2e9 } });
    expect(lines.at(-1)).toMatchObject({ event: "error", code: "TRUNCATED", fix: "Download it again." });
    expect(said.err).toBe("error: cut off\nFix: Download it again.\n");
  });

  it("quiet: errors, and what was asked for by name", () => {
    const { said, io } = recorder(true);
    const reporter = createReporter(io, { json: false, quiet: true });
    reporter.log("a");
    reporter.notice("b");
    reporter.step(step(0, 1));
    reporter.result({}, "c");
    expect(said).toEqual({ out: "", err: "" });
    reporter.print("mask\n", "mask");
    reporter.error(new UsageError("wrong", "Do it right."));
    expect(said).toEqual({ out: "mask\n", err: "error: wrong\nFix: Do it right.\n" });
  });
});

describe("ends", () => {
  it("have exit codes", () => {
    expect(exitCodeOf(new UsageError("x"))).toBe(2);
    expect(exitCodeOf(new AbortError("ABORTED", "x"))).toBe(130);
    expect(exitCodeOf(new WeightsError("TRUNCATED", "x"))).toBe(2);
    expect(exitCodeOf(new WeightsError("READ_FAILED", "x", { fault: "run" }))).toBe(1);
    expect(exitCodeOf(Object.assign(new Error("x"), { code: "ENOENT" }))).toBe(2);
    expect(exitCodeOf(Object.assign(new Error("x"), { code: "ENOSPC" }))).toBe(1);
    expect(exitCodeOf(new Error("x"))).toBe(1);
    const missing = Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" });
    expect(describeError(missing)).toBe("ENOENT: no such file");
  });
});

it("the profile sums up", () => {
  const table = profileTable([
    { name: "linear", count: 4, milliseconds: 3 },
    { name: "attention", count: 2, milliseconds: 1 },
  ]);
  expect(table.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "kernel calls GPU ms µs/call share",
    "linear 4 3.00 750.0 75.0 %",
    "attention 2 1.00 500.0 25.0 %",
    "all 6 4.00 666.7 100.0 %",
    "",
  ]);
});

it("the profile says which kernels ran and why not others", () => {
  const rejected = [{ rule: "matrix-f16", reason: "the device has no f16 shaders" }];
  expect(ruleLines([{ family: "linear", rule: "tile", count: 3, rejected }])).toBe(
    "linear: tile, 3 times\n  not matrix-f16: the device has no f16 shaders\n",
  );
});
