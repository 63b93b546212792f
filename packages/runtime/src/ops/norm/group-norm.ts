/** Group norm of channels-last features, with the spatial modulation of CogVideoX's decoder. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Activation } from "../../kernel/wgsl.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement, type FloatDType } from "../../tensor/dtype.js";
import { formatShape, sameShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import {
  GROUP_CHUNKS_THREADS,
  GROUP_NORM_TABLES,
  type GroupNormTable,
  groupApplyKernel,
  groupMergeKernel,
} from "./group-norm.wgsl.js";
import { groupNormFamily } from "./group-norm-family.js";

export interface GroupNormOptions {
  /** Groups of neighbouring channels; divides C. */
  readonly groups: number;
  /** `[C]` */
  readonly weight?: Tensor | undefined;
  /** `[C]` */
  readonly bias?: Tensor | undefined;
  readonly eps: number;
  /** Shaped as x, multiplied after weight and bias. */
  readonly scaleMap?: Tensor | undefined;
  /** Shaped as x, added after `scaleMap`. */
  readonly shiftMap?: Tensor | undefined;
  /** From `groupNormStatistics`, instead of those of x itself. */
  readonly statistics?: Tensor | undefined;
  /** Applied last. */
  readonly activation?: Activation | undefined;
  /** Default: the dtype of x. */
  readonly outDtype?: FloatDType | undefined;
}

/**
 * Group norm of x `[B, ..., C]`: mean and variance over all positions of a batch entry and the channels of a group.
 * @throws ShapeError when the groups do not divide C or a table does not fit
 */
export function groupNorm(device: Device, x: Tensor, options: GroupNormOptions): Tensor {
  const channels = x.dim(-1);
  const batch = x.dim(0);
  const { groups, eps, activation } = options;
  assertShape(
    Number.isInteger(groups) && groups > 0 && channels % groups === 0 && x.shape.length >= 2,
    `groupNorm: ${groups} groups do not divide the channels of ${formatShape(x.shape)}`,
  );
  const given: { readonly [name in GroupNormTable]: Tensor | undefined } = {
    weight: options.weight,
    bias: options.bias,
    scale_map: options.scaleMap,
    shift_map: options.shiftMap,
  };
  const tables: { [name in GroupNormTable]?: FloatDType } = {};
  for (const name of GROUP_NORM_TABLES) {
    const table = given[name];
    if (!table) continue;
    const size = name === "weight" || name === "bias" ? channels : x.size;
    assertShape(
      table.size === size,
      `groupNorm: ${name} ${formatShape(table.shape)} does not fit ${formatShape(x.shape)}`,
    );
    tables[name] = floatDType("groupNorm", table);
  }
  const xType = floatDType("groupNorm", x);
  const y = device.empty(x.shape, options.outDtype ?? xType);
  if (x.size === 0) return y;
  assertShape(
    !options.statistics || options.statistics.size === batch * groups * 2,
    `groupNorm: statistics ${formatShape(options.statistics?.shape ?? [])} are not [${batch}, ${groups}, 2]`,
  );
  const stats = options.statistics ?? groupStatistics(device, [x], groups, eps);

  const width = channels / groups;
  const access = width % 4 === 0 ? "groups" : channels % 4 === 0 ? "channels" : "element";
  const kernel = groupApplyKernel({ x: xType, y: floatDType("groupNorm", y), tables, activation, access });
  const walked = [x, given.scale_map, given.shift_map, y].filter((t) => t !== undefined);
  const perChannel = [given.weight, given.bias].filter((t) => t !== undefined);
  const bytes = walked.map((t) => bytesPerElement(t.dtype));
  for (const piece of rowChunks(device, x.size, bytes)) {
    withRows(walked, x.size, piece, ([input, ...rest]) => {
      const count = piece.end - piece.start;
      device.dispatch({
        kernel,
        tensors: [input!, stats, ...perChannel, ...rest],
        params: { count, channels, width, entry: x.size / batch, first: piece.start },
        workgroups: Math.ceil(count / 4 / FLAT_WORKGROUP),
      });
    });
  }
  if (!options.statistics) stats.dispose();
  return y;
}

/**
 * Statistics of all `parts` together, for `groupNorm` on one part after the other: a clip that is kept frame by frame.
 * Parts are `[1, ..., C]`, all of one shape and dtype. Returns `[1, groups, 2]`: mean and 1 / sqrt(variance + eps).
 */
export function groupNormStatistics(
  device: Device,
  parts: readonly Tensor[],
  { groups, eps }: Pick<GroupNormOptions, "groups" | "eps">,
): Tensor {
  const first = parts[0];
  assertShape(
    first !== undefined &&
      first.size > 0 &&
      first.dim(-1) % groups === 0 &&
      parts.every((p) => p.dim(0) === 1 && p.dtype === first.dtype && sameShape(p.shape, first.shape)),
    `groupNormStatistics: parts ${parts.map((p) => `${p.dtype} ${formatShape(p.shape)}`).join(", ")} of ${groups} groups`,
  );
  return groupStatistics(device, parts, groups, eps);
}

/** `[B, G, 2]`: mean and 1 / sqrt(variance + eps). Several parts have batch 1. */
function groupStatistics(device: Device, parts: readonly Tensor[], groups: number, eps: number): Tensor {
  const x = parts[0]!;
  const batch = x.dim(0);
  const channels = x.dim(-1);
  const width = channels / groups;
  const positions = x.size / channels / batch;
  const shape = { x: floatDType("groupNorm", x), vector: width % 4 === 0 };
  const { variant } = device.choose(groupNormFamily, shape, { positions, width });
  const chunk = Math.max(1, Math.ceil(variant.elements / width));
  const chunksPerPart = Math.ceil(positions / chunk);
  const chunks = device.empty([batch, parts.length * chunksPerPart, groups, 2]);
  const kernel = groupNormFamily.kernel(shape, variant);
  const rowBytes = [chunk * channels * bytesPerElement(x.dtype)];
  const record = (view: Tensor, entries: number, from: number, end: number) => {
    const count = entries * Math.ceil((end - from) / chunk);
    device.dispatch({
      kernel,
      tensors: [view, chunks],
      params: { positions: end - from, batch: entries, channels, width, chunk, first_chunk: firstChunk },
      workgroups: variant.lanes === 1 ? Math.ceil((count * groups) / GROUP_CHUNKS_THREADS) : count * groups,
    });
    firstChunk += count;
  };
  let firstChunk = 0;
  for (const part of parts) {
    if (part.byteLength <= device.info.limits.maxStorageBufferBindingSize) {
      record(part, batch, 0, positions);
      continue;
    }
    // Pieces hold whole chunks: rows are counted in chunks here, the last one may be short.
    for (let b = 0; b < batch; b++) {
      for (const piece of rowChunks(device, chunksPerPart, rowBytes)) {
        const start = piece.start * chunk;
        const end = Math.min(piece.end * chunk, positions);
        const rows = { start: b * positions + start, end: b * positions + end };
        withRows([part], batch * positions, rows, ([view]) => record(view!, 1, start, end));
      }
    }
  }
  const stats = device.empty([batch, groups, 2]);
  device.dispatch({
    kernel: groupMergeKernel(),
    tensors: [chunks, stats],
    params: {
      entries: batch * groups,
      chunks: parts.length * chunksPerPart,
      part: chunksPerPart,
      groups,
      size: chunk * width,
      last_size: (positions - (chunksPerPart - 1) * chunk) * width,
      total: parts.length * positions * width,
      eps,
    },
    workgroups: batch * groups,
  });
  chunks.dispose();
  return stats;
}
