/** Runs that a signal stops: at any moment, with the exit code of the signal, without a trace. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DEVICE, events, runCli } from "./testing/run-cli.js";
import { SMALL, tinyRuns } from "./testing/tiny-runs.js";

const { path } = await tinyRuns("signals");

test("Ctrl-C stops within one step, leaves no file and ends with 130", async () => {
  const output = path("stopped");
  await mkdir(output);
  let stoppedAt = 0;
  const { code, stdout } = await runCli(
    ["generate", ...DEVICE, ...SMALL, "--steps", "500", "--json", "--output", join(output, "clip.mp4")],
    {
      onOutput: (text, interrupt) => {
        const steps = events(text.slice(0, text.lastIndexOf("\n"))).filter(
          ({ event }) => event === "step",
        ).length;
        if (steps < 2 || stoppedAt > 0) return;
        stoppedAt = steps;
        interrupt();
      },
    },
  );
  expect(code).toBe(130);
  const done = events(stdout);
  expect(done.at(-1)).toMatchObject({ event: "error", code: "ABORTED" });
  // What was written before the signal arrived, and the step that was running then.
  const heard = done.findIndex((e) => e.event === "notice" && String(e.line).startsWith("Stopping"));
  expect(heard).toBeGreaterThan(0);
  expect(done.slice(heard).filter(({ event }) => event === "step").length).toBeLessThanOrEqual(1);
  expect(await readdir(output)).toEqual([]);
});

describe("a signal stops the run at any moment, without a trace", () => {
  type Event = Record<string, unknown>;
  const isStage = (name: string, component?: string) => (event: Event) =>
    event.event === "stage" && event.stage === name && (!component || event.component === component);
  const moments: [string, NodeJS.Signals, number, (event: Event) => boolean][] = [
    ["encoding the prompt", "SIGINT", 130, isStage("encode-prompt")],
    ["loading the transformer", "SIGINT", 130, isStage("load", "transformer")],
    ["denoising", "SIGINT", 130, (event) => event.event === "step"],
    ["loading the autoencoder", "SIGINT", 130, isStage("load", "vae")],
    ["decoding", "SIGINT", 130, isStage("decode")],
    ["writing", "SIGINT", 130, (event) => isStage("decode")(event) && event.done === event.total],
    ["loading, by SIGTERM", "SIGTERM", 143, isStage("load", "transformer")],
    ["denoising, by SIGHUP", "SIGHUP", 129, (event) => event.event === "step"],
  ];
  test.each(moments)("%s", async (name, kind, expected, isNow) => {
    const output = path(`signal ${name}`);
    await mkdir(output);
    let sent = false;
    const { code, stdout, stderr } = await runCli(
      ["generate", ...DEVICE, ...SMALL, "--num-frames", "33", "--json", "--output", join(output, "clip.mp4")],
      {
        onOutput: (text, interrupt) => {
          if (sent || !events(text.slice(0, text.lastIndexOf("\n"))).some(isNow)) return;
          sent = true;
          interrupt(kind);
        },
      },
    );
    expect(code, stderr).toBe(expected);
    expect(events(stdout).at(-1)).toMatchObject({ event: "error", code: "ABORTED" });
    expect(stderr).not.toMatch(/^ +at /m);
    expect(await readdir(output)).toEqual([]);
  });
});
