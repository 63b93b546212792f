import { describe, expect, it } from "vitest";
import { AbortError, ConfigError, isLvsaError, throwIfAborted, UsageError, WeightsError } from "./errors.js";

describe("errors", () => {
  it("say whose fault they are", () => {
    expect(new UsageError("BAD_OPTION", "x").isUsage).toBe(true);
    expect(new UsageError("BAD_OPTION", "x")).toBeInstanceOf(ConfigError);
    expect(new ConfigError("BAD_JSON", "x").isUsage).toBe(false);
    expect(new WeightsError("TRUNCATED", "x", { isUsage: true }).isUsage).toBe(true);
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
