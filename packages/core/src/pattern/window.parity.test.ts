import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { adaptiveWindowBounds, expandedWindowBounds, type WindowBounds, windowBounds } from "./window.js";

interface Bounds {
  readonly lo: readonly number[];
  readonly hi: readonly number[];
}

const everyFrame = (frames: number) => Array.from({ length: frames }, (_, frame) => frame);
const columns = (bounds: readonly WindowBounds[]): Bounds => ({
  lo: bounds.map(({ lo }) => lo),
  hi: bounds.map(({ hi }) => hi),
});

const adaptive = goldenCases<{ T: number; W: number; frames?: number[] }, Bounds>(
  "pattern/adaptive_window_bounds.json",
);
const expanded = goldenCases<{ T: number; W: number; globals: number[]; global_count: number }, Bounds>(
  "pattern/expanded_window_bounds.json",
);
const dispatched = goldenCases<{ T: number; W: number; expand: boolean; globals: number[] }, Bounds>(
  "pattern/window_bounds.json",
);

describe("window bounds equal the Python original", () => {
  it.skipIf(adaptive.length === 0)("adaptive", () => {
    for (const { input, output } of adaptive) {
      const frames = input.frames ?? everyFrame(input.T);
      const actual = columns(frames.map((f) => adaptiveWindowBounds(f, input.W, input.T)));
      expect(actual, JSON.stringify(input)).toEqual(output);
    }
  });

  it.skipIf(expanded.length === 0)("expanded past global frames", () => {
    for (const { input, output } of expanded) {
      const globals = new Set(input.globals);
      const actual = columns(
        everyFrame(input.T).map((f) =>
          expandedWindowBounds(f, input.W, input.T, globals, input.global_count),
        ),
      );
      expect(actual, JSON.stringify(input)).toEqual(output);
    }
  });

  it.skipIf(dispatched.length === 0)("as attention uses them", () => {
    for (const { input, output } of dispatched) {
      const options = { expand: input.expand, globalFrames: new Set(input.globals) };
      const actual = columns(everyFrame(input.T).map((f) => windowBounds(f, input.W, input.T, options)));
      expect(actual, JSON.stringify(input)).toEqual(output);
    }
  });
});
