/** Pictures of the pattern as text: one row per query frame, one column per key frame. */
import { formatFixed } from "./format-fixed.js";
import { windowBounds } from "./window.js";

/** What a picture needs; an `AttentionPattern` has all of it. */
export interface MaskSource {
  readonly frames: number;
  readonly window: number;
  readonly expandWindow: boolean;
  readonly globalFrames: readonly number[];
}

export interface MaskTextOptions {
  /** `compact`: one character per key frame; `wide`: three, with a full header. */
  readonly style: "compact" | "wide";
}

type Cell = "X" | "G" | "W" | ".";

interface MaskRow {
  readonly cells: readonly Cell[];
  readonly attended: number;
}

/**
 * The whole clip's mask, every line ended by a newline. G: global frame, W: in the window, X: both, `.`:
 * not attended; each row ends with its number of attended frames. Same text as the Python original prints.
 * Split frames of a context-parallel run are not shown: the picture is that of the clip.
 */
export function maskText(source: MaskSource, options: MaskTextOptions): string {
  const rows = maskRows(source);
  const lines = options.style === "compact" ? compactLines(rows) : wideLines(rows);
  return `${lines.join("\n")}\n`;
}

function maskRows(source: MaskSource): MaskRow[] {
  const { frames, window, expandWindow } = source;
  const globalFrames = new Set(source.globalFrames);
  return Array.from({ length: frames }, (_, query) => {
    const { lo, hi } = windowBounds(query, window, frames, { expand: expandWindow, globalFrames });
    const cells = Array.from({ length: frames }, (_, key): Cell => {
      const inWindow = key >= lo && key <= hi;
      if (globalFrames.has(key)) return inWindow ? "X" : "G";
      return inWindow ? "W" : ".";
    });
    return { cells, attended: cells.filter((cell) => cell !== ".").length };
  });
}

function summary(rows: readonly MaskRow[]) {
  const counts = rows.map((row) => row.attended);
  const average = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return { min: Math.min(...counts), max: Math.max(...counts), average: formatFixed(average, 1) };
}

function compactLines(rows: readonly MaskRow[]): string[] {
  const digits = rows.length > 1 ? String(rows.length - 1).length : 1;
  const ticks = rows.map((_, key) => (key % 5 === 0 ? String(key % 10) : " ")).join("");
  const lines = [" ".repeat(digits + 2) + ticks];
  for (const [query, row] of rows.entries()) {
    lines.push(`${String(query).padStart(digits)} |${row.cells.join("")}| ${row.attended}`);
  }
  if (rows.length > 0) {
    const { min, max, average } = summary(rows);
    lines.push(`G=global W=window X=both .=skip  min=${min} max=${max} avg=${average}/${rows.length}`);
  }
  return lines;
}

function wideLines(rows: readonly MaskRow[]): string[] {
  const rule = `    ${"---".repeat(rows.length)}`;
  const lines = [`Q\\K ${rows.map((_, key) => String(key).padStart(3)).join("")}`, rule];
  for (const [query, row] of rows.entries()) {
    const cells = row.cells.map((cell) => `  ${cell}`).join("");
    lines.push(`${String(query).padStart(3)} |${cells}  | ${row.attended}/${rows.length}`);
  }
  lines.push(rule);
  if (rows.length > 0) {
    const { min, max, average } = summary(rows);
    lines.push(`Legend: G=global, W=window, X=both  |  attended min=${min} max=${max} avg=${average}`);
  }
  return lines;
}
