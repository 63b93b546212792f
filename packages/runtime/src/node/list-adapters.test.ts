import { describe, expect, it } from "vitest";
import { parseAdapterList } from "./list-adapters.js";

describe("parseAdapterList", () => {
  it("finds every driver in Dawn's message", () => {
    const message = `no suitable backends found
Available adapters:
 * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'
 * backend: 'vulkan', name: 'NVIDIA H100'`;
    expect(parseAdapterList(message)).toEqual([
      { backend: "vulkan", name: "llvmpipe (LLVM 15.0.6, 256 bits)" },
      { backend: "vulkan", name: "NVIDIA H100" },
    ]);
    expect(parseAdapterList("no adapters")).toEqual([]);
  });
});
