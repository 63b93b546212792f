import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { AdapterRegistry } from "./adapter-registry.js";

const lookups = goldenCases<{ name: string }, { message: string }>("pattern/adapter_errors.json");

describe("looking up an adapter", () => {
  it.skipIf(lookups.length === 0)("lists the known names as the Python original does", async () => {
    const registry = new AdapterRegistry<string>();
    for (const family of ["wan", "hunyuan_video", "cogvideox"]) registry.register(family, async () => family);
    for (const { input, output } of lookups) {
      // Python puts quotes around the text of a KeyError.
      const message = output.message.replace(/^"|"$/g, "");
      await expect(registry.get(input.name)).rejects.toThrow(
        expect.objectContaining({ code: "UNKNOWN_ADAPTER", message }),
      );
    }
  });
});
