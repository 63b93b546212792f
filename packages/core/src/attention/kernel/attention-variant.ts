/** Arrangements of attention by subgroup matrices: which one a product and a width of heads take. */
import type { MatrixProduct } from "@lvsa/runtime";
import type { MatrixAttention } from "./attention-matrix.wgsl.js";

/**
 * For widths that split into two halves of whole matrices. Measured on an H200 with 16x16x16 (32,760 tokens, 12 heads of 128,
 * indices unchecked): 207 TFLOP/s; four subgroups, split 128 and not split 127. With keys and values in one place, and thus five
 * barriers, 159 and 173 split, 139 not split with 64 keys. Six subgroups, whose 96 queries leave less of a frame's last tile
 * empty, 155; leaving out the products of subgroups that have no query there makes frames of 1,560 queries 3 to 7 % slower.
 */
export const SPLIT_HEADS: MatrixAttention = { subgroups: 8, keys: 32, split: 2 };
/** For other widths, and where workgroups have little memory or few threads. */
export const WHOLE_HEADS: readonly MatrixAttention[] = [
  { subgroups: 4, keys: 32 },
  { subgroups: 2, keys: 32 },
];

/**
 * Arrangements for a product, best first; the last takes least of a workgroup. Only those of 16x16x16 by subgroups of 32 were
 * measured. Others are guesses: matrices of eight rows leave a subgroup eight queries, and eight subgroups, or six in 32 KiB of
 * workgroup memory, keep keys and values busy for 64 or 48; f32 takes twice the memory, and so half of the keys at a time.
 */
export function matrixAttentions(product: MatrixProduct, headDim: number): readonly MatrixAttention[] {
  const splits = headDim % (2 * product.n) === 0;
  if (product.m === 16) {
    const all = splits ? [SPLIT_HEADS, ...WHOLE_HEADS] : WHOLE_HEADS;
    // Subgroups of 32 are what arrangements have without a word.
    return product.lanes === 32 && !product.asksForLanes ? all : all.map((o) => ({ ...o, product }));
  }
  const keys = product.component === "f16" ? 32 : 16;
  const of = (subgroups: number, split: 1 | 2 = 1): MatrixAttention => ({
    ...{ subgroups, keys },
    ...(split === 2 ? { split } : {}),
    product,
  });
  return [...(splits ? [of(8, 2), of(6, 2)] : [of(8)]), of(4)];
}
