/**
 * Pictures by the kitty graphics protocol: a PNG in pieces of 4096 bytes of base64, drawn over a number of cells.
 * Source: https://sw.kovidgoyal.net/kitty/graphics-protocol/
 */

/** A piece's payload at most. */
const PIECE = 4096;
/** One image and one placement, which the next picture replaces. */
const IMAGE = "i=5161,p=1";

/**
 * Draws at the cursor, which stays where it is.
 *
 * @param png the bytes of a file
 */
export function kittyPicture(png: Uint8Array, columns: number, rows: number): string {
  const payload = Buffer.from(png).toString("base64");
  let out = "";
  for (let at = 0; at === 0 || at < payload.length; at += PIECE) {
    const more = at + PIECE < payload.length ? 1 : 0;
    // Transmit and display; no answers (q=2), no movement of the cursor (C=1).
    const keys = at === 0 ? `a=T,f=100,${IMAGE},c=${columns},r=${rows},q=2,C=1,m=${more}` : `m=${more},q=2`;
    out += `\x1b_G${keys};${payload.slice(at, at + PIECE)}\x1b\\`;
  }
  return out;
}
