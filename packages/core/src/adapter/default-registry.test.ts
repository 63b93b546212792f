import { describe, expect, it } from "vitest";
import { getAdapter, registerAdapter } from "./default-registry.js";
import { ModelAdapter } from "./model-adapter.js";

class TestAdapter extends ModelAdapter {
  readonly family = "test";
  readonly rules = { patchSize: 1, referenceLatentFrames: 5 };
}

describe("the process's adapters", () => {
  it("finds what was registered, and no longer after its undo", async () => {
    const undo = registerAdapter("default-registry-test", async () => new TestAdapter());
    expect((await getAdapter("default-registry-test")).family).toBe("test");
    undo[Symbol.dispose]();
    await expect(getAdapter("default-registry-test")).rejects.toThrow(
      expect.objectContaining({ code: "UNKNOWN_ADAPTER" }),
    );
  });
});
