/**
 * Floating point operations of one forward pass of the transformer at batch 1. A multiply-add is two; biases, norms,
 * softmax, rotary tables and activations are not counted. Bigints: long clips exceed 2^53.
 */
import type { RowKind } from "../models/definition/parameter-list.js";
import type { AttentionShape, TokenRows } from "../models/definition/video-model.js";

export interface DenseAndLvsa {
  readonly dense: bigint;
  readonly lvsa: bigint;
}

export interface LinearFlops {
  /** Elements of the weight matrices. */
  readonly weights: number;
  /** Tokens that they are multiplied with. */
  readonly rows: number;
  readonly flops: bigint;
}

export interface ForwardFlops {
  /** Attention of the video's queries (and of the text's, where attention is joint). */
  readonly attentionPerLayer: DenseAndLvsa;
  readonly attentionPerForward: DenseAndLvsa;
  /** Causal attention of a text stream of its own. */
  readonly textStreamAttentionPerForward: bigint;
  readonly crossAttentionPerForward: bigint;
  readonly textRefinerAttentionPerForward: bigint;
  readonly linearPerForward: bigint;
  readonly linearByRows: Readonly<Partial<Record<RowKind, LinearFlops>>>;
  readonly totalPerForward: DenseAndLvsa;
}

export interface FlopsInput {
  readonly attention: AttentionShape;
  readonly rows: TokenRows;
  readonly patchesPerFrame: number;
  readonly videoTokens: number;
  /** Sum over query frames of the frames that each attends. */
  readonly attendedFramesSum: number;
  readonly weightsByRows: ReadonlyMap<RowKind, number>;
}

export function forwardFlops(input: FlopsInput): ForwardFlops {
  const { attention, rows, videoTokens } = input;
  const dim = BigInt(attention.heads * attention.headDim);
  const layers = BigInt(attention.layers);
  const video = BigInt(videoTokens);
  const text = BigInt(attention.jointTextTokens);
  const patches = BigInt(input.patchesPerFrame);
  const attended = patches * patches * BigInt(input.attendedFramesSum);

  // Scores and weighted values: two multiply-adds per query, key and channel.
  const perPair = 4n * dim;
  const textQueries = attention.kind === "joint" ? text * (video + text) : 0n;
  const attentionPerLayer = {
    dense: perPair * (video * (video + text) + textQueries),
    lvsa: perPair * (attended + video * text + textQueries),
  };
  const attentionPerForward = {
    dense: attentionPerLayer.dense * layers,
    lvsa: attentionPerLayer.lvsa * layers,
  };
  // Causal: token i attends to i tokens.
  const textStream = attention.kind === "two streams" ? 2n * dim * text * (text + 1n) * layers : 0n;
  const crossTokens = Object.values(attention.crossTokens).reduce((sum, tokens) => sum + tokens, 0);
  const cross = perPair * video * BigInt(crossTokens) * layers;
  const refiner = attention.refinerTokens.reduce((sum, tokens) => sum + perPair * BigInt(tokens) ** 2n, 0n);

  const linearByRows: Partial<Record<RowKind, LinearFlops>> = {};
  let linear = 0n;
  for (const [kind, weights] of input.weightsByRows) {
    const count = rowCount(kind, rows, videoTokens);
    const flops = 2n * BigInt(weights) * BigInt(count);
    linearByRows[kind] = { weights, rows: count, flops };
    linear += flops;
  }
  const rest = textStream + cross + refiner + linear;
  return {
    attentionPerLayer,
    attentionPerForward,
    textStreamAttentionPerForward: textStream,
    crossAttentionPerForward: cross,
    textRefinerAttentionPerForward: refiner,
    linearPerForward: linear,
    linearByRows,
    totalPerForward: { dense: attentionPerForward.dense + rest, lvsa: attentionPerForward.lvsa + rest },
  };
}

function rowCount(kind: RowKind, rows: TokenRows, videoTokens: number): number {
  switch (kind) {
    case "video":
      return videoTokens;
    case "text_and_video":
      return videoTokens + (rows.text ?? 0);
    case "sample":
      return 1;
    case "unused":
      return 0;
    default:
      return rows[kind] ?? 0;
  }
}

/** `numerator / denominator` as a number, right for bigints of any size. */
export function ratio(numerator: bigint, denominator: bigint): number {
  return Number(numerator) / Number(denominator);
}
