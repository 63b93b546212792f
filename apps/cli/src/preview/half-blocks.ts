/** Pictures in any terminal with colours: two pixels in each character, the upper half block on a background. */
import type { Picture } from "./picture.js";

/** How many colours a terminal has. */
export type ColourDepth = "24-bit" | "256";

/** Lines of text without line ends; `height` must be even. */
export function halfBlocks({ rgb, width, height }: Picture, depth: ColourDepth): string[] {
  const colour = (x: number, y: number) => {
    const at = (y * width + x) * 3;
    const [r, g, b] = [rgb[at]!, rgb[at + 1]!, rgb[at + 2]!];
    return depth === "24-bit" ? `2;${r};${g};${b}` : `5;${nearest256(r, g, b)}`;
  };
  const lines: string[] = [];
  for (let y = 0; y + 1 < height; y += 2) {
    let line = "";
    let last = "";
    for (let x = 0; x < width; x++) {
      const style = `\x1b[38;${colour(x, y)};48;${colour(x, y + 1)}m`;
      line += `${style === last ? "" : style}▀`;
      last = style;
    }
    lines.push(`${line}\x1b[0m`);
  }
  return lines;
}

/** The colour cube of xterm's 256 colours has these levels from entry 16 on. */
const LEVELS = [0, 95, 135, 175, 215, 255];

function nearest256(r: number, g: number, b: number): number {
  const index = (value: number) =>
    LEVELS.reduce(
      (best, level, i) => (Math.abs(level - value) < Math.abs(LEVELS[best]! - value) ? i : best),
      0,
    );
  return 16 + 36 * index(r) + 6 * index(g) + index(b);
}
