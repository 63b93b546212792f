import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hookPlugins } from "./hooks.js";
import type { RunReporter } from "./reporter.js";

function run(lvsa: boolean) {
  const notices: string[] = [];
  const reporter = { notice: (line: string) => notices.push(line), log() {} } as unknown as RunReporter;
  return { plugins: hookPlugins({ lvsa }, reporter, process.env).map(({ name }) => name), notices };
}

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^LVSA_/.test(name)) vi.stubEnv(name, undefined);
});
afterEach(() => vi.unstubAllEnvs());

describe("hookPlugins", () => {
  it("says what is wrong with variables although no hook is on", () => {
    vi.stubEnv("LVSA_WAN_HOK", "1");
    vi.stubEnv("LVSA_WINDOW_SIZE", "x");
    expect(run(false)).toEqual({
      plugins: [],
      notices: [
        'warning: LVSA_WINDOW_SIZE is "x"; expected a whole number of at least 0',
        "warning: unknown variable LVSA_WAN_HOK; did you mean LVSA_WAN_HOOK?",
      ],
    });
  });

  it("leaves it to the plugin where that is set up", () => {
    vi.stubEnv("LVSA_WAN_HOOK", "1");
    vi.stubEnv("LVSA_WNDOW", "1");
    expect(run(false)).toEqual({ plugins: ["@lvsa/hooks"], notices: [] });
    expect(run(true)).toEqual({
      plugins: [],
      notices: [
        "warning: unknown variable LVSA_WNDOW",
        "warning: LVSA_* variables ignored: --lvsa is given, and options win",
      ],
    });
  });

  it("refuses bad variables when a hook is on", () => {
    vi.stubEnv("LVSA_WAN_HOOK", "1");
    vi.stubEnv("LVSA_WINDOW_SIZE", "x");
    expect(() => run(false)).toThrow(expect.objectContaining({ code: "INVALID_VARIABLE" }));
  });
});
