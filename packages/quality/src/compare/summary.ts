/** One row for each method and length: means over prompts, with how sure they are. */
import { bootstrapMean, type Interval, mean, wilsonInterval } from "../statistics.js";
import type { CompareLength, CompareMethod, CompareResult, Comparison } from "./compare.js";
import { ATTRIBUTES, type Attribute } from "./following.js";

/** A mean over prompts and its 95 % interval: Wilson's for shares, else by bootstrap, undefined for fewer than five prompts. */
export interface Estimate {
  readonly mean: number;
  readonly interval: Interval | undefined;
}

export interface SummaryRow {
  readonly method: string;
  readonly factor: number;
  readonly prompts: number;
  readonly seconds: number;
  /** Pixels per frame by block matching. */
  readonly motion: Estimate;
  /** Motion over that of the same prompt at the first length by the first method, of the sums; undefined where that is still. */
  readonly motionKept: number | undefined;
  readonly consistency: Estimate;
  readonly identity: Estimate;
  readonly freeze: Estimate;
  readonly flicker: Estimate;
  readonly jump: Estimate;
  readonly sharpnessRatio: Estimate | undefined;
  readonly colorDrift: Estimate;
  readonly backgroundDrift: Estimate;
  readonly loopIndex: Estimate;
  /** Share of windows that show what the prompt says; undefined where it is not judged. */
  readonly following: Estimate | undefined;
  readonly right: Readonly<Partial<Record<Attribute, Estimate>>>;
  readonly drift: Estimate | undefined;
  readonly rightWay: Estimate | undefined;
  /** Share of moving prompts whose object moves at less than .3 of its speed at the first length. */
  readonly frozenShare: { readonly frozen: number; readonly moving: number } | undefined;
  /** Following less that of the first method at the same length, prompt by prompt. */
  readonly overFirst: Estimate | undefined;
}

/** Below this speed (pixels per frame) at the training length an object stands. */
const MOVING = 0.5;
/** Below this part of that speed it froze. */
const FROZEN = 0.3;

/** The result of a method; the first method's where both do the same. */
export function resultOf(
  { results, methods }: Comparison,
  promptIndex: number,
  method: CompareMethod,
  length: CompareLength,
): CompareResult | undefined {
  const find = (name: string) =>
    results.find((r) => r.promptIndex === promptIndex && r.method === name && r.factor === length.factor);
  const isSame = method.differsAt?.(length) === false;
  return find(method.name) ?? (isSame ? find(methods[0]!.name) : undefined);
}

/** Rows by length, then method, without methods that do there what the first one does. Prompts that an interrupted run did not finish are left out of all of them. */
export function summarize(comparison: Comparison): SummaryRow[] {
  const { prompts, methods, lengths } = comparison;
  const finished = prompts
    .map((_, index) => index)
    .filter((index) =>
      lengths.every((length) => methods.every((method) => resultOf(comparison, index, method, length))),
    );
  if (finished.length === 0) return [];
  const row = (method: CompareMethod, length: CompareLength) => {
    const at = (m: CompareMethod, l: CompareLength) =>
      finished.map((index) => resultOf(comparison, index, m, l)!);
    const first = methods[0]!;
    return summaryRow(at(method, length), at(first, lengths[0]!), at(first, length), { method, length });
  };
  return lengths.flatMap((length) =>
    methods
      .filter((method) => method === methods[0] || method.differsAt?.(length) !== false)
      .map((method) => row(method, length)),
  );
}

function estimate(values: readonly (number | null | undefined)[]): Estimate | undefined {
  const numbers = values.filter((value): value is number => typeof value === "number");
  return numbers.length === 0 ? undefined : bootstrapMean(numbers);
}

/** Of values from 0 to 1. */
function estimateShare(values: readonly (number | undefined)[]): Estimate | undefined {
  const numbers = values.filter((value) => value !== undefined);
  if (numbers.length === 0) return undefined;
  const share = mean(numbers);
  return { mean: share, interval: wilsonInterval(share * numbers.length, numbers.length) };
}

function summaryRow(
  results: readonly CompareResult[],
  trained: readonly CompareResult[],
  first: readonly CompareResult[],
  { method, length }: { method: CompareMethod; length: CompareLength },
): SummaryRow {
  const of = (value: (result: CompareResult) => number | null | undefined) => estimate(results.map(value));
  const shareOf = (value: (result: CompareResult) => number | undefined) => estimateShare(results.map(value));
  const before = mean(trained.map(({ score }) => score.motionMean));
  const moving = results.flatMap(({ following }, i) => {
    const speed = trained[i]!.following?.lateSpeed ?? 0;
    return following && speed >= MOVING ? [(following.lateSpeed ?? 0) / speed] : [];
  });
  const right = ATTRIBUTES.flatMap((attribute) => {
    const found = shareOf((r) => r.following?.right[attribute]);
    return found ? [[attribute, found] as const] : [];
  });
  return {
    method: method.name,
    factor: length.factor,
    prompts: results.length,
    seconds: mean(results.map(({ seconds }) => seconds)),
    motion: of((r) => r.score.motionMean)!,
    motionKept: before === 0 ? undefined : mean(results.map(({ score }) => score.motionMean)) / before,
    consistency: of((r) => r.score.temporalConsistency)!,
    identity: of((r) => r.score.identity.firstToLast)!,
    freeze: shareOf((r) => r.score.freezeRatio)!,
    flicker: of((r) => r.score.flicker)!,
    jump: of((r) => r.score.jump)!,
    sharpnessRatio: of((r) => r.score.sharpnessRatio),
    colorDrift: of((r) => r.score.colorDrift)!,
    backgroundDrift: of((r) => r.score.backgroundDrift)!,
    loopIndex: of((r) => r.score.loopIndex)!,
    following: shareOf((r) => r.following?.total),
    right: Object.fromEntries(right),
    drift: of((r) => r.following?.drift),
    rightWay: shareOf((r) => r.following?.rightWay),
    frozenShare:
      moving.length === 0
        ? undefined
        : { frozen: moving.filter((ratio) => ratio < FROZEN).length, moving: moving.length },
    overFirst: estimate(
      results.flatMap(({ following }, i) => {
        const other = first[i]!.following;
        return following && other ? [following.total - other.total] : [];
      }),
    ),
  };
}
