import { describe, expect, it } from "vitest";
import { cosmos3Chat, cosmos3PromptText } from "./prompts-cosmos3.js";
import { hunyuanVideo15Chat, hunyuanVideo15GlyphText } from "./prompts-hunyuan.js";

describe("HunyuanVideo 1.5 prompts", () => {
  it("collect quoted texts once each, in order", () => {
    expect(hunyuanVideo15GlyphText('"b" and “a” and "b"')).toBe('Text "b". Text "a". ');
    expect(hunyuanVideo15GlyphText("no quotes")).toBeUndefined();
    expect(hunyuanVideo15GlyphText('"over\ntwo lines"')).toBeUndefined();
    expect(hunyuanVideo15GlyphText('""')).toBe('Text "". ');
    expect(hunyuanVideo15GlyphText('a “curly" mix”')).toBe('Text "curly" mix". ');
  });

  it("put a space where the prompt is empty", () => {
    expect(hunyuanVideo15Chat("")[1]).toEqual({ role: "user", content: " " });
  });
});

describe("Cosmos 3 prompts", () => {
  const options = { numFrames: 189, height: 720, width: 1280, fps: 24 };

  it("state duration, frame rate and size after the prompt's own full stops", () => {
    expect(cosmos3PromptText("A kite..", options)).toBe(
      "A kite. The video is 7.9 seconds long and is of 24 FPS. This video is of 720x1280 resolution.",
    );
    expect(cosmos3PromptText("", { ...options, negative: true })).toBe(
      "The video is not 7.9 seconds long and is not of 24 FPS. This video is not of 720x1280 resolution.",
    );
    expect(cosmos3PromptText("A kite", { ...options, numFrames: 1 })).toBe(
      "A kite. This image is of 720x1280 resolution.",
    );
    expect(
      cosmos3PromptText("A.", { ...options, addDurationTemplate: false, addResolutionTemplate: false }),
    ).toBe("A.");
  });

  it("round ties to even, as Python's format does", () => {
    const duration = (numFrames: number, fps: number) =>
      cosmos3PromptText("", { ...options, numFrames, fps });
    expect(duration(5, 20)).toContain("is 0.2 seconds");
    expect(duration(15, 20)).toContain("is 0.8 seconds");
    expect(duration(7, 20)).toContain("is 0.3 seconds");
    expect(duration(9, 20)).toContain("is 0.5 seconds");
    expect(duration(10, 24.5)).toContain("of 24 FPS");
    expect(duration(10, 25.5)).toContain("of 26 FPS");
    expect(duration(10, 23.976)).toContain("of 24 FPS");
  });

  it("have a system turn unless told otherwise", () => {
    expect(cosmos3Chat("A", options).map(({ role }) => role)).toEqual(["system", "user"]);
    expect(cosmos3Chat("A", { ...options, numFrames: 1 })[0]?.content).toContain("generate images");
    expect(cosmos3Chat("A", { ...options, useSystemPrompt: false })).toHaveLength(1);
  });
});
