import { describe, expect, it } from "vitest";
import { AdapterRegistry } from "./adapter-registry.js";

describe("AdapterRegistry", () => {
  it("loads an adapter only when it is asked for, anew each time", async () => {
    const registry = new AdapterRegistry<object>();
    let loads = 0;
    registry.register("wan", async () => ({ load: ++loads }));
    expect(loads).toBe(0);
    expect(await registry.get("wan")).toEqual({ load: 1 });
    expect(await registry.get("wan")).toEqual({ load: 2 });
  });

  it("brings back the previous loader on dispose, unless it was replaced since", async () => {
    const registry = new AdapterRegistry<string>();
    registry.register("wan", async () => "first");
    const second = registry.register("wan", async () => "second");
    expect(await registry.get("wan")).toBe("second");
    second[Symbol.dispose]();
    expect(await registry.get("wan")).toBe("first");

    const third = registry.register("wan", async () => "third");
    registry.register("wan", async () => "fourth");
    third[Symbol.dispose]();
    expect(await registry.get("wan")).toBe("fourth");
  });

  it("forgets a disposed family, and says when it knows none", async () => {
    const registry = new AdapterRegistry<string>();
    registry.register("wan", async () => "wan")[Symbol.dispose]();
    expect(registry.names).toEqual([]);
    await expect(registry.get("wan")).rejects.toThrow("Available adapters: none");
  });
});
