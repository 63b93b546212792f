import { expect, it } from "vitest";
import { otherLines, withoutDawnLines } from "./native-lines.js";

const DAWN =
  "Warning: maxDynamicStorageBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.\n";

it.each([
  [DAWN + DAWN, ""],
  [`a\n${DAWN}b`, "a\nb"],
  ["MESA: error: no card\n", "MESA: error: no card\n"],
  ["Warning: something else\n", "Warning: something else\n"],
  // Half of such a line is something new.
  [DAWN.slice(0, 60), DAWN.slice(0, 60)],
])("keeps Dawn's own lines, and nothing else, from the user: %j", (text, others) => {
  expect(otherLines(text)).toBe(others);
});

it("only looks where somebody waited for the reader of standard error", () => {
  const said: string[] = [];
  expect(
    withoutDawnLines(
      () => 3,
      (text) => said.push(text),
      false,
    ),
  ).toBe(3);
  expect(said).toEqual([]);
});
