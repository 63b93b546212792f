/**
 * Pictures as sixels, the graphics of DEC's terminals: six rows at a time, one pass over them for each colour.
 * Source: VT330/VT340 Programmer Reference Manual, volume 2, chapter 14.
 */
import type { Picture } from "./picture.js";

/** Levels of each colour: a cube of 216 colours fits the 256 registers that terminals have. */
const LEVELS = 6;

/** Draws at the cursor. */
export function sixelPicture({ rgb, width, height }: Picture): string {
  const level = (value: number) => Math.round((value * (LEVELS - 1)) / 255);
  const indexes = Uint8Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = [level(rgb[i * 3]!), level(rgb[i * 3 + 1]!), level(rgb[i * 3 + 2]!)];
    return (r * LEVELS + g) * LEVELS + b;
  });
  const percent = (n: number) => Math.round((100 * n) / (LEVELS - 1));
  let palette = "";
  for (const index of new Set(indexes)) {
    const [r, g, b] = [Math.floor(index / LEVELS ** 2), Math.floor(index / LEVELS) % LEVELS, index % LEVELS];
    palette += `#${index};2;${percent(r)};${percent(g)};${percent(b)}`;
  }
  let bands = "";
  for (let top = 0; top < height; top += 6) {
    const rows = Math.min(6, height - top);
    const band = indexes.subarray(top * width, (top + rows) * width);
    const passes: string[] = [];
    for (const index of new Set(band)) {
      const bits = Array.from({ length: width }, (_, x) => {
        let mask = 0;
        for (let y = 0; y < rows; y++) if (band[y * width + x] === index) mask |= 1 << y;
        return String.fromCharCode(63 + mask);
      });
      passes.push(`#${index}${runs(bits)}`);
    }
    bands += `${passes.join("$")}-`;
  }
  // Aspect 1:1, and the size; pixels that no pass has keep the background.
  return `\x1bP0;1q"1;1;${width};${height}${palette}${bands}\x1b\\`;
}

/** `!<count><character>` for more than three of a kind. */
function runs(characters: readonly string[]): string {
  let out = "";
  for (let at = 0; at < characters.length; ) {
    let end = at + 1;
    while (end < characters.length && characters[end] === characters[at]) end += 1;
    const count = end - at;
    out += count > 3 ? `!${count}${characters[at]}` : characters[at]!.repeat(count);
    at = end;
  }
  return out;
}
