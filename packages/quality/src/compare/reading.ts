/** What a comparison shows, in sentences; and what it does not. */
import { wilsonInterval } from "../statistics.js";
import type { Comparison } from "./compare.js";
import type { Estimate, SummaryRow } from "./summary.js";

/** Below this part of the motion at the training length, consistency is that of a still picture. */
const STILL = 0.5;
/** Fewer prompts than these tell nothing about methods that differ little. */
const FEW = 30;

export const percent = (share: number, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** `91 % (84 to 96)`. */
export function percentWithInterval({ mean, interval }: Estimate): string {
  if (!interval) return percent(mean);
  const bound = (value: number) => (100 * value).toFixed(0);
  return `${percent(mean)} (${bound(interval.low)} to ${bound(interval.high)})`;
}

/** One sentence each. The rows are `summarize`'s. */
export function readComparison(comparison: Comparison, rows: readonly SummaryRow[]): string[] {
  if (rows.length === 0)
    return ["No prompt is finished in all methods and lengths: nothing can be compared yet."];
  const { methods, lengths } = comparison;
  const label = (name: string) => methods.find((method) => method.name === name)!.label;
  const first = methods[0]!;
  const prompts = rows[0]!.prompts;
  const lines = [
    `${prompts} ${prompts === 1 ? "prompt" : "prompts"}, one seed each, the same noise for all methods. ` +
      (prompts < 2
        ? "One prompt shows what a method can do, not how it compares."
        : "Intervals are 95 %: Wilson's for shares, by drawing prompts again for differences.") +
      (prompts > 1 && prompts < FEW
        ? ` So few prompts leave a share uncertain by about ${halfWidth(prompts)} points; differences are taken prompt by prompt, which tells more.`
        : ""),
  ];
  for (const { factor } of lengths.slice(lengths.length > 1 ? 1 : 0)) {
    const here = rows.filter((row) => row.factor === factor);
    lines.push(...here.flatMap((row) => stillness(row, label(row.method), factor)));
    const base = here.find((row) => row.method === first.name)!;
    for (const row of here) {
      if (row === base || !row.overFirst) continue;
      lines.push(
        `${factor}x: ${label(row.method)} ${difference(row.overFirst)} ${first.label} in following the prompt.`,
      );
    }
  }
  if (!comparison.isJudged) {
    lines.push(
      "Whether clips show what the prompts say was not measured: only clips of the demo model can be read. Look at them.",
    );
  }
  return lines;
}

/** Of Wilson's interval around one half, in points. */
function halfWidth(prompts: number): string {
  const { low, high } = wilsonInterval(prompts / 2, prompts);
  return (50 * (high - low)).toFixed(0);
}

function stillness({ motionKept, consistency }: SummaryRow, label: string, factor: number): string[] {
  if (motionKept === undefined || motionKept >= STILL) return [];
  return [
    `${factor}x: ${label} keeps ${percent(motionKept)} of the motion at the training length; its consistency of ` +
      `${consistency.mean.toFixed(3)} is that of a clip that hardly moves.`,
  ];
}

function difference({ mean, interval }: Estimate): string {
  const points = `${Math.abs(100 * mean).toFixed(0)} points`;
  if (!interval)
    return `is ${points} ${mean < 0 ? "below" : "above"} (too few prompts to say whether by chance)`;
  if (interval.low <= 0 && interval.high >= 0) {
    return `can not be told from (${(100 * interval.low).toFixed(0)} to ${(100 * interval.high).toFixed(0)} points)`;
  }
  return mean > 0 ? `is ${points} better than` : `is ${points} worse than`;
}
