import { describe, expect, it } from "vitest";
import { choiceOf, parseAttentionConfig } from "./attention-config.js";

describe("parseAttentionConfig", () => {
  it("takes names and choices with settings of their own", () => {
    expect(
      parseAttentionConfig({
        default: "DENSE",
        per_role: { self: { backend: "LVSA", extra: { windowSize: 8 } }, cross: "DENSE" },
      }),
    ).toEqual({
      default: { backend: "DENSE" },
      perRole: { self: { backend: "LVSA", extra: { windowSize: 8 } }, cross: { backend: "DENSE" } },
    });
  });

  it("joins nested roles by dots", () => {
    expect(
      parseAttentionConfig({ perRole: { ltx2: { audio_to_video: "X", video: { backend: "Y" } } } }),
    ).toEqual({ perRole: { "ltx2.audio_to_video": { backend: "X" }, "ltx2.video": { backend: "Y" } } });
  });

  it.each([
    [[], "the attention config is []"],
    [{ per_roles: {} }, "per_roles"],
    [{ per_role: { self: { backend: 3 } } }, "self: backend is 3"],
    [{ per_role: { self: { backend: "X", extras: {} } } }, "self has no field extras"],
    [{ per_role: { self: 3 } }, "self is 3"],
    [{ default: ["X"] }, 'default is ["X"]'],
  ])("refuses %j and says where", (given, message) => {
    expect(() => parseAttentionConfig(given)).toThrow(
      expect.objectContaining({
        code: "INVALID_ATTENTION_CONFIG",
        message: expect.stringContaining(message as string),
      }),
    );
  });

  it("reads auto as no choice", () => {
    expect(choiceOf("auto")).toBeUndefined();
    expect(choiceOf({ backend: "auto" })).toBeUndefined();
    expect(choiceOf("DENSE")).toEqual({ backend: "DENSE" });
  });
});
