import { type EnginePlugin, registeredPlugins } from "@lvsa/core";
import { afterEach, describe, expect, it, vi } from "vitest";

const saved = { ...process.env };
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
  (globalThis as { [key: symbol]: Map<string, EnginePlugin> | undefined })[
    Symbol.for("lvsa.engine-plugins")
  ]?.clear();
  vi.resetModules();
});

describe("@lvsa/hooks/register", () => {
  it("is what engines of the process find, once however often it is imported", async () => {
    process.env.LVSA_WAN_HOOK = "1";
    await import("./register.js");
    vi.resetModules();
    await import("./register.js");
    expect(registeredPlugins().map(({ name }) => name)).toEqual(["@lvsa/hooks"]);
  });

  it("ends a process that asked for LVSA with a bad variable, before a model is loaded", async () => {
    process.env.LVSA_WAN_HOOK = "1";
    process.env.LVSA_WINDOW_SIZE = "twelve";
    await expect(import("./register.js")).rejects.toThrow('LVSA_WINDOW_SIZE is "twelve"');
    expect(registeredPlugins()).toEqual([]);
  });
});
