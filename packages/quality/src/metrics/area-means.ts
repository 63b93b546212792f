/** Pictures made smaller by the mean over areas. */

/**
 * Cells of a grid over a picture and each pixel's share in them: borders of cells need not be borders of pixels.
 * Source: as OpenCV's INTER_AREA.
 */
function shares(pixels: number, cells: number): { readonly start: number; readonly weights: Float64Array }[] {
  const size = pixels / cells;
  return Array.from({ length: cells }, (_, cell) => {
    const from = cell * size;
    const to = (cell + 1) * size;
    const start = Math.floor(from + 1e-9);
    const end = Math.min(pixels, Math.ceil(to - 1e-9));
    const weights = Float64Array.from({ length: end - start }, (_, i) => {
      const pixel = start + i;
      return (Math.min(to, pixel + 1) - Math.max(from, pixel)) / size;
    });
    return { start, weights };
  });
}

/**
 * Mean of each channel over the cells of a grid.
 *
 * @param picture `[height, width, channels]`
 * @returns `[rows, columns, channels]`, in the picture's unit
 */
export function areaMeans(
  picture: ArrayLike<number>,
  [height, width, channels]: readonly [height: number, width: number, channels: number],
  [rows, columns]: readonly [rows: number, columns: number],
): Float64Array {
  const across = shares(width, columns);
  const down = shares(height, rows);
  const out = new Float64Array(rows * columns * channels);
  for (let row = 0; row < rows; row++) {
    const vertical = down[row]!;
    for (let column = 0; column < columns; column++) {
      const horizontal = across[column]!;
      const to = (row * columns + column) * channels;
      for (let y = 0; y < vertical.weights.length; y++) {
        for (let x = 0; x < horizontal.weights.length; x++) {
          const weight = vertical.weights[y]! * horizontal.weights[x]!;
          const at = ((vertical.start + y) * width + horizontal.start + x) * channels;
          for (let channel = 0; channel < channels; channel++) {
            out[to + channel]! += weight * picture[at + channel]!;
          }
        }
      }
    }
  }
  return out;
}
