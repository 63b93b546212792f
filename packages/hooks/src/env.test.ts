import { readFileSync } from "node:fs";
import { nearestName } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import {
  defineHook,
  environmentMarkdown,
  environmentReport,
  HookLog,
  type HooksOptions,
  listHooks,
  registerHook,
  resolveHooks,
  SETTINGS,
  SparseAttention,
  VERSION,
} from "./index.js";

const ON = { LVSA_WAN_HOOK: "1" };

describe("precedence", () => {
  const env = {
    ...ON,
    LVSA_CONFIG: '{"window_size": 24, "n_first_frames": 8, "sparsity_scale": 0.5}',
    LVSA_WINDOW_SIZE: "16",
    LVSA_N_FIRST_FRAMES: "12",
  };

  it("explicit options win over variables, variables over LVSA_CONFIG", () => {
    const { settings, sources } = resolveHooks({ windowSize: 8, env });
    expect(settings).toMatchObject({ windowSize: 8, nFirstFrames: 12, sparsityScale: 0.5 });
    expect(sources).toMatchObject({
      windowSize: "option",
      nFirstFrames: "variable",
      sparsityScale: "LVSA_CONFIG",
      keyFrameInterval: "default",
    });
  });

  it("holds for switches too, so that code can switch off what a variable switches on", () => {
    const on = (options: HooksOptions) => resolveHooks(options).on.map(({ family }) => family);
    const config = { LVSA_CONFIG: '{"wan_hook": true}' };
    expect(on({ env: ON })).toEqual(["wan"]);
    expect(on({ env: ON, families: [] })).toEqual([]);
    expect(on({ env: ON, families: ["cosmos3"] })).toEqual(["cosmos3"]);
    expect(on({ env: config })).toEqual(["wan"]);
    expect(on({ env: { ...config, LVSA_WAN_HOOK: "0" } })).toEqual([]);
    expect(on({ env: {} })).toEqual([]);
  });

  it("a family that no hook is for is refused with the nearest", () => {
    expect(() => resolveHooks({ env: {}, families: ["wann"] }).on).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", fix: "Did you mean wan?" }),
    );
  });

  it("a schedule is said in each of the ways", () => {
    const schedule = [
      { steps: [0, 4], attention: "dense" },
      { steps: [7, 7], attention: "lvsa" },
    ];
    const read = (env: Record<string, string>) => resolveHooks({ env: { ...ON, ...env } }).settings.schedule;
    expect(read({ LVSA_SCHEDULE: "0-4:dense, 7:lvsa" })).toEqual(schedule);
    expect(read({ LVSA_CONFIG: JSON.stringify({ schedule }) })).toEqual(schedule);
    expect(read({ LVSA_SCHEDULE: "" })).toBeUndefined();
    for (const bad of ["0-4", "4-0:dense", "0-4:dense,4:lvsa", "0-4:sparse", "0-4:dense,", "-1:dense"]) {
      expect(() => read({ LVSA_SCHEDULE: bad }), bad).toThrow("expected ranges of steps, none twice");
    }
  });

  it("explicit options are checked always, and strictly", () => {
    expect(() => resolveHooks({ windowSize: -1, env: {} })).toThrow(/windowSize/);
    expect(() => resolveHooks({ windowSise: 1, env: {} } as never)).toThrow(
      expect.objectContaining({
        code: "BAD_OPTION",
        message: expect.stringContaining("did you mean windowSize?"),
      }),
    );
  });
});

// Rows of "what bad values do" (E.1): the text names variable and value, and what is accepted.
describe("bad values", () => {
  it.each([
    ["LVSA_WINDOW_SIZE", "x", "a whole number of at least 0"],
    ["LVSA_SPARSITY_SCALE", "1,5", "a number of at least 0"],
    ["LVSA_CONFIG", "{", "a JSON object of settings"],
    ["LVSA_CFG_PASSES", "x", "a whole number of at least 1"],
    ["LVSA_N_BLOCKS", "-1", "a whole number of at least 0"],
    ["LVSA_TOTAL_LATENT_FRAMES", "0", "a whole number of at least 1"],
    ["LVSA_TOTAL_LATENT_FRAMES", "-3", "a whole number of at least 1"],
    ["LVSA_SPARSITY_SCALE", "nan", "a number of at least 0"],
    ["LVSA_SPARSITY_SCALE", "inf", "a number of at least 0"],
    ["LVSA_VAE_TEMPORAL_FACTOR", "0", "a whole number of at least 1"],
    ["LVSA_BACKEND", "auto", "sdpa or flashinfer"],
    ["LVSA_PATCHES_PER_FRAME", "1560,x", "whole numbers of at least 1, separated by commas"],
    ["LVSA_MASK_LOG", "abc", "a range such as 3-7"],
    ["LVSA_STRICT", "maybe", "1, true or yes for on"],
  ])("%s=%s is refused when a hook is on", (variable, text, accepted) => {
    const read = () => resolveHooks({ env: { ...ON, [variable]: text } });
    expect(read).toThrow(
      expect.objectContaining({
        code: "INVALID_VARIABLE",
        message: expect.stringContaining(`${variable} is ${JSON.stringify(text)}; expected `),
        fix: expect.stringContaining("lvsa env"),
      }),
    );
    expect(read).toThrow(accepted);
    // Nobody asked for LVSA: a line, and everything else goes on.
    const { warnings, settings } = resolveHooks({ env: { [variable]: text } });
    expect(warnings[0]).toContain(variable);
    expect(settings).toEqual({});
  });

  it("a hook's own variable is never half read", () => {
    expect(() => resolveHooks({ env: { LVSA_WAN_HOOK: "on" } })).toThrow('LVSA_WAN_HOOK is "on"');
  });

  it("all of them are named at once", () => {
    const read = () => resolveHooks({ env: { ...ON, LVSA_WINDOW_SIZE: "x", LVSA_CFG_PASSES: "y" } });
    expect(read).toThrow(/LVSA_WINDOW_SIZE[\s\S]*LVSA_CFG_PASSES/);
  });

  it("settings in which a query sees nothing are refused when the hook is set up", () => {
    const settings = resolveHooks({ windowSize: 3, nFirstFrames: 0, keyFrameInterval: 3, env: {} }).settings;
    const model = { referenceLatentFrames: 21, temporalFactor: 4 };
    const options = {
      family: "wan",
      origin: "wan_hook",
      counter: "hook",
      log: new HookLog({}),
      model,
    } as const;
    expect(() => new SparseAttention({ ...options, settings })).toThrow(
      expect.objectContaining({
        code: "EMPTY_PATTERN",
        message: expect.stringMatching(
          /LVSA_WINDOW_SIZE 3, LVSA_N_FIRST_FRAMES 0 and LVSA_KEY_FRAME_INTERVAL 3/,
        ),
        fix: "Set one of them to at least 4.",
      }),
    );
    for (const enough of [
      { windowSize: 4 },
      { nFirstFrames: 4 },
      { keyFrameInterval: 4 },
      { rotateKeyframes: true, keyFrameInterval: 0 },
    ]) {
      new SparseAttention({ ...options, settings: { ...settings, ...enough } }).dispose();
    }
  });
});

describe("names", () => {
  it("unknown ones are reported with the nearest", () => {
    const env = {
      LVSA_WINDOW_SISE: "8",
      LVSA_QQQQQQQQ: "1",
      LVSA_TEST_ADAPTER: "x",
      LVSA_REFERENCE_DIR: "y",
      PATH: "z",
    };
    expect(resolveHooks({ env }).warnings).toEqual([
      "unknown variable LVSA_QQQQQQQQ",
      "unknown variable LVSA_WINDOW_SISE; did you mean LVSA_WINDOW_SIZE?",
    ]);
    // A hook that nobody brings: its variable, and its entry.
    const other = { LVSA_WNA_HOOK: "1", LVSA_CONFIG: '{"cosmo3_hook": true}' };
    const resolved = resolveHooks({ env: other });
    expect(resolved.on).toEqual([]);
    expect(resolved.warnings).toEqual([
      "LVSA_CONFIG speaks of an unknown hook, LVSA_COSMO3_HOOK; did you mean LVSA_COSMOS3_HOOK?",
      "unknown variable LVSA_WNA_HOOK; did you mean LVSA_WAN_HOOK?",
    ]);
    expect(nearestName("LVSA_WAN_HOK", ["LVSA_HUNYUAN_HOOK", "LVSA_WAN_HOOK"])).toBe("LVSA_WAN_HOOK");
  });

  it("dead ones are explained in a line each", () => {
    const env = { LVSA_SCHEDULE_START: "5", LVSA_SCHEDULE_END: "5", LVSA_TOTAL_STEPS: "50" };
    const { warnings } = resolveHooks({ env });
    expect(warnings).toHaveLength(3);
    for (const variable of Object.keys(env)) {
      expect(warnings.filter((line) => line.startsWith(`${variable} has no effect: `))).toHaveLength(1);
    }
  });
});

describe("tables", () => {
  it("the README's is current", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    expect(readme.replace(/ +/g, " ").replace(/-+/g, "-")).toContain(
      environmentMarkdown().replace(/ +/g, " ").replace(/-+/g, "-"),
    );
  });

  it("the report names value seen, value in use, default and who set it", () => {
    const { rows } = environmentReport(
      { LVSA_WINDOW_SIZE: " 8 ", LVSA_CONFIG: '{"strict": true}' },
      { auto: true },
    );
    const row = (variable: string) => rows.find((one) => one.variable === variable);
    expect(row("LVSA_WINDOW_SIZE")).toMatchObject({ seen: " 8 ", value: 8, source: "variable" });
    expect(row("LVSA_STRICT")).toMatchObject({ seen: undefined, value: true, source: "LVSA_CONFIG" });
    expect(row("LVSA_AUTO")).toMatchObject({ value: true, source: "option" });
    expect(row("LVSA_CFG_PASSES")).toMatchObject({ value: undefined, defaultText: "2", source: "default" });
    expect(rows).toHaveLength(listHooks().length + SETTINGS.length + 1);
  });

  it("the report knows hooks that packages registered", () => {
    using _mine = registerHook(
      defineHook({
        ...{ family: "mymodel", variable: "LVSA_MYMODEL_HOOK", packageName: "x", layer: "MyAttention" },
        target: () => {
          throw new Error("not asked");
        },
      }),
    );
    const { rows, warnings } = environmentReport({ LVSA_MYMODEL_HOOK: "1" });
    expect(warnings).toEqual([]);
    expect(rows[0]).toMatchObject({ variable: "LVSA_MYMODEL_HOOK", value: true, source: "variable" });
  });
});

it("VERSION is that of package.json", () => {
  const file = new URL("../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
