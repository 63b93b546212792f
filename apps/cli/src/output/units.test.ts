import { expect, it } from "vitest";
import { renderTable } from "./table.js";
import { formatBytes, formatCount, formatFlops, formatShare } from "./units.js";

it("keeps three digits", () => {
  expect(
    [0, 7, 999, 999.6, 1000, 5_675_987_200, 99_960_000, 28_907_198_668, 999_600_000_000].map(formatBytes),
  ).toEqual(["0 B", "7 B", "999 B", "1.00 kB", "1.00 kB", "5.68 GB", "100 MB", "28.9 GB", "1.00 TB"]);
  expect(formatFlops(3_505_331_225_493_504n)).toBe("3.51 PFLOP");
  expect(formatFlops(10n ** 26n)).toBe("100000 ZFLOP");
  expect([formatCount(1418996800), formatShare(0.25)]).toEqual(["1,418,996,800", "25.0 %"]);
});

it("aligns columns and leaves no blanks at line ends", () => {
  const columns = [{ title: "a" }, { title: "number", align: "right" }, { title: "c" }] as const;
  expect(
    renderTable(columns, [
      ["long", "1"],
      ["x", "22", "y"],
    ]),
  ).toEqual(["a     number  c", "long       1", "x         22  y"]);
});
