import { describe, expect, it } from "vitest";
import {
  AbortError,
  ConfigError,
  DeviceError,
  HookError,
  isLvsaError,
  LvsaError,
  ShapeError,
  throwIfAborted,
  UsageError,
  WeightsError,
} from "./errors.js";

describe("errors", () => {
  it("say whose fault they are", () => {
    expect(new UsageError("BAD_OPTION", "x").isUsage).toBe(true);
    expect(new UsageError("BAD_OPTION", "x")).toBeInstanceOf(ConfigError);
    expect(new ConfigError("BAD_JSON", "x").isUsage).toBe(false);
    const faults = [LvsaError, DeviceError, ShapeError, AbortError].map((kind) => new kind("X", "x").fault);
    expect(faults).toEqual(["run", "run", "run", "run"]);
    const given = [ConfigError, WeightsError, HookError].map((kind) => new kind("X", "x").fault);
    expect(given).toEqual(["input", "input", "input"]);
    expect(new UsageError("X", "x").fault).toBe("usage");
    expect(new WeightsError("READ_FAILED", "x", { fault: "run" }).fault).toBe("run");
  });

  it("of stopping carry the caller's reason, whatever it is", () => {
    throwIfAborted(undefined, "it");
    throwIfAborted(new AbortController().signal, "it");
    for (const reason of [new Error("mine"), "a text", 0]) {
      const stopped = () => throwIfAborted(AbortSignal.abort(reason), "the download");
      expect(stopped).toThrow(AbortError);
      expect(stopped).toThrow("the download was stopped");
      try {
        stopped();
      } catch (error) {
        expect(isLvsaError(error) && error.code).toBe("ABORTED");
        expect((error as Error).cause).toBe(reason);
      }
    }
  });
});
