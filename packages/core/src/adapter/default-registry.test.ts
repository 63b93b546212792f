import { describe, expect, it } from "vitest";
import { getAdapter, registerAdapter } from "./default-registry.js";

describe("the process's adapters", () => {
  it("finds what was registered, and no longer after its undo", async () => {
    const undo = registerAdapter("default-registry-test", async () => ({ family: "test" }));
    expect(await getAdapter<{ family: string }>("default-registry-test")).toEqual({ family: "test" });
    undo[Symbol.dispose]();
    await expect(getAdapter("default-registry-test")).rejects.toThrow(
      expect.objectContaining({ code: "UNKNOWN_ADAPTER" }),
    );
  });
});
