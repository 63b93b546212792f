/** Step counter, geometry, masks, fallback lines and launcher arguments of the Python plugin. */
import { FallbackReporter } from "@lvsa/core";
import { goldenCases, isForeignReference, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import {
  type HookEvent,
  hookLine,
  MaskLog,
  parseMaskLog,
  resolveGeometry,
  resolveHooks,
  StepTracker,
  serveArguments,
} from "./index.js";

type Env = Readonly<Record<string, string>>;

interface CounterInput {
  readonly counter: "backend" | "hook" | "blocks";
  readonly env: Env;
  readonly name: string;
  readonly script?: readonly {
    readonly ids: readonly number[];
    readonly seq_len: number;
    readonly repeat: number;
  }[];
}
interface CounterOutput {
  readonly steps_rle?: readonly [number, number][];
  readonly n_blocks: number | null;
  readonly call_count: number;
  readonly prints: readonly [number, string][];
  readonly error?: string;
}

describe("step counter", () => {
  const cases = goldenCases<CounterInput, CounterOutput>("pattern/step_counter.json");
  // The manual counter of the original is used by nothing: hosts that count say the step themselves.
  const counters = cases.filter(({ input }) => input.counter !== "blocks");

  it("there are cases", () => requireCases(counters));

  it.skipIf(counters.length === 0)("equals the original call by call", () => {
    let refused = 0;
    for (const { input, output } of counters) {
      const { env, counter, script = [] } = input;
      const label = `${counter} ${JSON.stringify(env)} ${input.name}`;
      const read = () => resolveHooks({ env: { LVSA_WAN_HOOK: "1", ...env } }).settings;
      // Below 1 the original takes 1 for passes, or never moves on for layers; here both are refused, as bad texts are.
      if (output.error || /^-|^0$/.test(env.LVSA_CFG_PASSES ?? "") || /^-/.test(env.LVSA_N_BLOCKS ?? "")) {
        // The original's hooks ignore LVSA_N_BLOCKS, bad or not.
        expect(read, label).toThrow(
          /LVSA_(CFG_PASSES|N_BLOCKS) is ".*"; expected a whole number of at least [01]/,
        );
        refused++;
        continue;
      }
      if (counter === "hook" && /^(x|)$/.test(env.LVSA_N_BLOCKS ?? "0")) {
        expect(read, label).toThrow(/LVSA_N_BLOCKS is/);
        continue;
      }
      const settings = read();
      const prints: [number, string][] = [];
      let calls = 0;
      const tracker = new StepTracker({
        cfgPasses: settings.cfgPasses ?? 2,
        // Hooks of the original ignore it; a number of layers is as true for them, so that here they do not.
        ...(counter === "backend" ? { nBlocks: settings.nBlocks ?? 0 } : {}),
        onCalibrated: (blocks, cfgPasses) => {
          prints.push([
            calls,
            `${hookLine({ type: "calibrated", counter, blocks, cfgPasses } as HookEvent)}\n`,
          ]);
        },
      });
      const steps: [number, number][] = [];
      for (const { ids, seq_len, repeat } of script) {
        for (let i = 0; i < repeat; i++) {
          for (const id of ids) {
            const step = tracker.tick(id, seq_len);
            const last = steps.at(-1);
            if (last?.[0] === step) last[1] += 1;
            else steps.push([step, 1]);
            calls++;
          }
        }
      }
      const calibration = output.prints
        .map(([call, text]) => [call, text.replace(/^\[LVSA-(MEM|TIME)\].*\n/gm, "")] as const)
        .filter(([, text]) => text !== "");
      expect({ steps, blocks: tracker.nBlocks ?? null, calls: tracker.calls, prints }, label).toEqual({
        steps: output.steps_rle,
        blocks: output.n_blocks,
        calls: output.call_count,
        prints: calibration,
      });
    }
    if (!isForeignReference()) expect(refused).toBeGreaterThan(0);
  });

  it("begins anew where the host says so: a second clip of equal length counts as one of another length does", (context) => {
    const find = (name: string) =>
      counters.find(
        ({ input }) => input.name === name && input.counter === "hook" && !Object.keys(input.env).length,
      );
    const same = find("second clip, same length");
    const other = find("second clip, other length");
    if (!same || !other) {
      if (!isForeignReference()) throw new Error("the repository's reference data holds no second clips");
      return context.skip("the reference folder holds no second clips");
    }
    const tracker = new StepTracker();
    const steps: number[] = [];
    for (const { ids, seq_len, repeat } of same.input.script!) {
      tracker.restart();
      for (let i = 0; i < repeat; i++) for (const id of ids) steps.push(tracker.tick(id, seq_len));
    }
    expect(steps).toEqual(other.output.steps_rle!.flatMap(([step, count]) => Array(count).fill(step)));
  });
});

describe("geometry", () => {
  const cases = goldenCases<
    { env: Env; T: number; seq_len: number },
    { P: number | null; text_tokens: number | null; text: string }
  >("pattern/geometry_detect.json");

  it("there are cases", () => requireCases(cases));

  it("equals the original where the host says how much text there is", () => {
    for (const { input, output } of cases) {
      // The original's own guess, spelled out.
      const env = Object.keys(input.env).length > 0 ? input.env : { LVSA_PATCHES_PER_FRAME: "1560" };
      const label = JSON.stringify(input);
      const given = { ...env, LVSA_TOTAL_LATENT_FRAMES: String(input.T), LVSA_WAN_HOOK: "1" };
      if (input.T < 1 || /^(0|-\d+|,)$/.test(env.LVSA_PATCHES_PER_FRAME ?? "")) {
        // No clip at all: refused instead of never matching.
        expect(() => resolveHooks({ env: given }), label).toThrow("expected");
        continue;
      }
      const { settings } = resolveHooks({ env: given });
      const told = resolveGeometry({ tokens: input.seq_len, textTokens: output.text_tokens ?? 0 }, settings);
      if (output.P === null) {
        expect(told, label).toMatchObject({ ok: false, reason: "geometry_detect" });
        continue;
      }
      expect(told, label).toEqual({
        ok: true,
        latentFrames: input.T,
        patchesPerFrame: output.P,
        textTokens: output.text_tokens,
      });
      const line = {
        type: "geometry",
        latentFrames: input.T,
        patchesPerFrame: output.P,
        textTokens: output.text_tokens,
      };
      if (output.text) expect(`${hookLine(line as HookEvent)}\n`, label).toBe(output.text);
      // Untold, surplus tokens are no text: longer clips of the same size engaged by this guess.
      const untold = resolveGeometry({ tokens: input.seq_len }, settings);
      const exact = [env.LVSA_PATCHES_PER_FRAME?.split(",").map(Number) ?? [4]].flat();
      expect(untold.ok, label).toBe(exact.some((patches) => patches * input.T === input.seq_len));
    }
  });
});

describe("mask log", () => {
  const cases = goldenCases<{ spec: string; steps: number[] }, { backend: boolean[]; hook: boolean[] }>(
    "pattern/mask_log.json",
  );
  /** Never printing without a word is no answer to a misspelling: these are refused by LVSA_MASK_LOG's schema. */
  const refused = new Set(["ONCE", "7-3", ",", "abc", "3-abc", "-3", "1-2-3", "true", "2-", "_"]);

  it("there are cases", () => requireCases(cases));

  it.each(cases.map(({ input, output }) => ({ ...input, output })))("$spec", ({ spec, steps, output }) => {
    const parsed = parseMaskLog(spec);
    if (refused.has(spec)) {
      expect(parsed).toBeUndefined();
      expect(() => resolveHooks({ env: { LVSA_WAN_HOOK: "1", LVSA_MASK_LOG: spec } })).toThrow(
        `LVSA_MASK_LOG is ${JSON.stringify(spec)}; expected nothing or 0 (never)`,
      );
      // Nothing is lost: the original never printed.
      expect(output.hook.some(Boolean)).toBe(false);
      return;
    }
    const log = new MaskLog(parsed!);
    const printed = steps.map((step) => log.prints(step));
    expect(printed).toEqual(output.hook);
    expect(printed).toEqual(output.backend);
  });

  it("says once per generation, not once per process", () => {
    const log = new MaskLog("once");
    expect([log.prints(0), log.prints(1)]).toEqual([true, false]);
    log.restart();
    expect([log.prints(0), log.prints(1)]).toEqual([true, false]);
  });
});

describe("fallback lines", () => {
  type Call =
    | readonly [string, string, number | null, Record<string, string | number | boolean | null> | null]
    | "reset";
  const cases = goldenCases<{ LVSA_WARN_FALLBACK?: string; calls?: readonly Call[] }, string[]>(
    "pattern/fallback_warnings.json",
  ).filter(({ input }) => input.calls);

  it("there are cases", () => requireCases(cases));

  it.each(cases.map(({ input, output }) => ({ ...input, output })))(
    "with LVSA_WARN_FALLBACK=$LVSA_WARN_FALLBACK",
    ({ LVSA_WARN_FALLBACK, calls, output }) => {
      const read = () =>
        resolveHooks({ env: { LVSA_WAN_HOOK: "1", LVSA_WARN_FALLBACK: LVSA_WARN_FALLBACK! } }).settings;
      if (["on", "2"].includes(LVSA_WARN_FALLBACK!)) {
        expect(read).toThrow("LVSA_WARN_FALLBACK is");
        return;
      }
      const { warnFallback = true } = read();
      let said = "";
      const reporter = new FallbackReporter({
        log: (line) => {
          if (warnFallback) said = `${line}\n`;
        },
      });
      const lines = calls!.map((call) => {
        said = "";
        if (call === "reset") reporter.reset();
        else {
          const [origin, reason, length, details] = call;
          reporter.report({ origin, reason, sequenceLength: length ?? -1, details: details ?? {} });
        }
        return said;
      });
      expect(lines).toEqual(output);
    },
  );
});

describe("launcher", () => {
  const cases = goldenCases<{ arguments: string[] }, string[]>("pattern/serve_arguments.json");
  it("there are cases", () => requireCases(cases));
  it.each(cases.map(({ input, output }) => ({ given: input.arguments, output })))(
    "$given",
    ({ given, output }) => {
      expect(serveArguments(given)).toEqual(output);
    },
  );
});
