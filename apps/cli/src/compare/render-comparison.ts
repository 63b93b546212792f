/** A comparison as a table for people and as JSON for programs. */
import { type Comparison, type Estimate, readComparison, summarize } from "@lvsa/quality/compare";
import { renderTable } from "../output/table.js";
import { scoreToJson } from "../score/render-score.js";

export function renderComparisonText(comparison: Comparison): string {
  const rows = summarize(comparison);
  const label = (name: string) => comparison.methods.find((method) => method.name === name)!.label;
  const percent = (value: number | undefined) =>
    value === undefined ? "-" : `${(100 * value).toFixed(0)} %`;
  const titles = ["seconds", "motion", "kept", "consistency", "identity", "flicker", "drift"];
  if (comparison.isJudged) titles.push("follows", "froze");
  const columns = [{ title: "" }, ...titles.map((title) => ({ title, align: "right" as const }))];
  const cells = rows.map((row) => [
    `${row.factor}x ${label(row.method)}`,
    row.seconds.toFixed(1),
    row.motion.mean.toFixed(2),
    percent(row.motionKept),
    row.consistency.mean.toFixed(4),
    row.identity.mean.toFixed(3),
    row.flicker.mean.toFixed(4),
    row.colorDrift.mean.toFixed(4),
    percent(row.following?.mean),
    row.frozenShare ? `${row.frozenShare.frozen} of ${row.frozenShare.moving}` : "-",
  ]);
  const table = rows.length === 0 ? [] : [...renderTable(columns, cells), ""];
  return `${[...table, ...readComparison(comparison, rows).map((line) => `- ${line}`)].join("\n")}\n`;
}

export function comparisonToJson(comparison: Comparison): Readonly<Record<string, unknown>> {
  const rows = summarize(comparison);
  const estimate = (value: Estimate | undefined) =>
    value === undefined
      ? null
      : { mean: value.mean, low: value.interval?.low ?? null, high: value.interval?.high ?? null };
  return {
    prompts: comparison.prompts,
    methods: comparison.methods.map(({ name, label }) => ({ name, label })),
    lengths: comparison.lengths.map(({ factor, numFrames }) => ({ factor, num_frames: numFrames })),
    reading: readComparison(comparison, rows),
    summary: rows.map((row) => ({
      method: row.method,
      factor: row.factor,
      prompts: row.prompts,
      seconds: row.seconds,
      motion: estimate(row.motion),
      motion_kept: row.motionKept ?? null,
      consistency: estimate(row.consistency),
      identity: estimate(row.identity),
      freeze: estimate(row.freeze),
      flicker: estimate(row.flicker),
      jump: estimate(row.jump),
      sharpness_ratio: estimate(row.sharpnessRatio),
      colour_drift: estimate(row.colorDrift),
      background_drift: estimate(row.backgroundDrift),
      loop_index: estimate(row.loopIndex),
      following: estimate(row.following),
      right: Object.fromEntries(Object.entries(row.right).map(([name, value]) => [name, estimate(value)])),
      drift: estimate(row.drift),
      right_way: estimate(row.rightWay),
      frozen: row.frozenShare ?? null,
      over_first: estimate(row.overFirst),
    })),
    results: comparison.results.map(
      ({ prompt, seed, method, factor, numFrames, seconds, score, following }) => {
        // What every frame had fills megabytes; `lvsa score --json` has it.
        const {
          per_frame: _frames,
          per_pair: _pairs,
          per_lag: _lags,
          path: _path,
          decoder: _decoder,
          ...numbers
        } = scoreToJson("", "", score);
        return {
          prompt,
          seed,
          method,
          factor,
          num_frames: numFrames,
          seconds,
          score: numbers,
          following: following ?? null,
        };
      },
    ),
  };
}
