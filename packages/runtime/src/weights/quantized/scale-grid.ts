/** How the scales of a quantized tensor lie over it: one, one per row or column, or one per block. */
import { quoted } from "../../printable.js";
import { weightsError } from "../header.js";

export interface ScaleGrid {
  /** The tensor as a matrix: its first axis by all others, or one row where one scale holds for all. */
  readonly columns: number;
  /** Rows and columns under one scale. */
  readonly blockRows: number;
  readonly blockColumns: number;
  /** Scales per row of blocks. */
  readonly across: number;
}

/** The block of every published block-wise checkpoint: 128 rows by 128 columns. */
const USUAL_BLOCK = 128;

/**
 * The grid of scales of shape `scale` over a tensor of shape `shape`. `block` is the size that the checkpoint states.
 * @throws WeightsError `UNSUPPORTED_QUANTIZATION` for shapes that fit no layout, or more than one
 */
export function scaleGrid(
  shape: readonly number[],
  scale: readonly number[],
  block: readonly [rows: number, columns: number] | undefined,
  names: { readonly codes: string; readonly scale: string; readonly where: string },
): ScaleGrid {
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  const count = product(shape);
  if (product(scale) === 1)
    return { columns: Math.max(1, count), blockRows: 1, blockColumns: Math.max(1, count), across: 1 };
  const rows = shape[0] ?? 1;
  const columns = Math.max(1, product(shape.slice(1)));
  const fail = (why: string) =>
    weightsError(
      "UNSUPPORTED_QUANTIZATION",
      `the scales ${quoted(names.scale)} [${scale.join(", ")}] do not fit ${quoted(names.codes)} [${shape.join(", ")}]: ${why}.`,
      {
        where: names.where,
        fix: "Use the checkpoint in bf16, or in fp8 with one scale per tensor, row or block.",
      },
    );
  // Trailing ones are how a scale per row is often kept: [rows], [rows, 1], [rows, 1, 1, 1, 1].
  const [down = 1, across = 1, ...rest] = scale;
  if (rest.some((size) => size !== 1)) throw fail("only the first two axes may have scales");
  if (shape.length > 2 && across !== 1) throw fail("a convolution may have scales for its first axis only");
  // One axis of scales is one per row; anything else would be a guess.
  if (scale.length === 1 && down !== rows) throw fail(`one axis of scales must have ${rows}, one per row`);
  const size = (length: number, scales: number, stated: number | undefined, axis: string) => {
    const found = blockSize(length, scales, stated);
    if (found !== undefined) return found;
    throw fail(`${scales} scales for ${length} ${axis}${stated ? ` in blocks of ${stated}` : ""}`);
  };
  return {
    columns,
    blockRows: size(rows, down, block?.[0], "rows"),
    blockColumns: size(columns, across, block?.[1], "columns"),
    across,
  };
}

/** Entries of an axis under one of `scales`, or undefined when that is not certain. */
function blockSize(length: number, scales: number, stated: number | undefined): number | undefined {
  if (scales === 1) return Math.max(1, length);
  if (scales === length) return 1;
  const fits = (block: number) => Math.ceil(length / block) === scales;
  if (stated !== undefined) return fits(stated) ? stated : undefined;
  if (fits(USUAL_BLOCK)) return USUAL_BLOCK;
  // Blocks are powers of two; the last one may be cut.
  const powers = [2, 4, 8, 16, 32, 64, 256, 512, 1024].filter(fits);
  return powers.length === 1 ? powers[0] : undefined;
}

/**
 * `values[code] * scale / divisor` for codes that begin at element `first` of the tensor, rounded once to f32.
 * One inner loop per run under one scale.
 */
export function applyScales(
  codes: Uint8Array,
  first: number,
  values: Float32Array,
  scales: Float32Array,
  divisor: number,
  grid: ScaleGrid,
  out: Float32Array,
): void {
  const { columns, blockRows, blockColumns, across } = grid;
  for (let done = 0; done < codes.length; ) {
    const row = Math.floor((first + done) / columns);
    const column = first + done - row * columns;
    const block = Math.floor(column / blockColumns);
    const scale = scales[Math.floor(row / blockRows) * across + block]!;
    const end = Math.min(codes.length, done + Math.min((block + 1) * blockColumns, columns) - column);
    for (; done < end; done++) out[done] = (values[codes[done]!]! * scale) / divisor;
  }
}
