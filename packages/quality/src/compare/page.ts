/** A comparison as one HTML file that needs nothing else: clips side by side, times, scores, and what they mean. */
import { checkOptionKinds } from "@lvsa/runtime/errors";
import type { Comparison } from "./compare.js";
import type { Attribute } from "./following.js";
import { percent, percentWithInterval, readComparison } from "./reading.js";
import { type Estimate, resultOf, type SummaryRow, summarize } from "./summary.js";

/** A clip as a file, to be looked at. */
export interface PageClip {
  /** `image/gif`, `image/png` or `video/mp4`. */
  readonly mimeType: string;
  readonly bytes: Uint8Array;
}

export interface PageOptions {
  readonly title: string;
  /** Below the title: model, sizes, steps, device. */
  readonly facts: readonly string[];
  /** The clip of a prompt, a method and a length; undefined where there is none (yet). */
  clip(promptIndex: number, method: string, factor: number): PageClip | undefined;
}

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.first td { border-top: 2px solid #888; }
.scroll { overflow-x: auto; }
.clips td { text-align: center; vertical-align: top; font-size: 12px; color: #555; }
.clips img, .clips video { width: 128px; height: auto; image-rendering: pixelated; display: block; margin: 0 auto; background: #eee; }
.wide img, .wide video { width: 320px; image-rendering: auto; }
`;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);

const fixed = (digits: number) => (estimate: Estimate | undefined) =>
  estimate === undefined ? "-" : estimate.mean.toFixed(digits);
const share = (estimate: Estimate | undefined) =>
  estimate === undefined ? "-" : percentWithInterval(estimate);
const right = (attribute: Attribute) => (row: SummaryRow) => share(row.right[attribute]);

interface Column {
  readonly title: string;
  readonly meaning: string;
  readonly cell: (row: SummaryRow) => string;
}

/** Beside every score of consistency: the motion. */
const CONTENT_FREE: readonly Column[] = [
  { title: "seconds", meaning: "to generate and decode a clip", cell: (r) => r.seconds.toFixed(1) },
  { title: "motion", meaning: "pixels per frame", cell: (r) => fixed(2)(r.motion) },
  {
    title: "motion kept",
    meaning: "of the motion at the training length",
    cell: (r) => (r.motionKept === undefined ? "-" : percent(r.motionKept)),
  },
  { title: "frozen pairs", meaning: "frames that equal the next", cell: (r) => share(r.freeze) },
  {
    title: "consistency",
    meaning: "1 less the mean change: 1 is frozen",
    cell: (r) => fixed(4)(r.consistency),
  },
  { title: "identity", meaning: "likeness of first and last frames", cell: (r) => fixed(3)(r.identity) },
  { title: "jump", meaning: "largest change over the usual", cell: (r) => fixed(2)(r.jump) },
  { title: "flicker", meaning: "fast changes of brightness", cell: (r) => fixed(4)(r.flicker) },
  { title: "sharpness kept", meaning: "last frames over first", cell: (r) => fixed(2)(r.sharpnessRatio) },
  {
    title: "colour drift",
    meaning: "mean colour, last frames less first",
    cell: (r) => fixed(4)(r.colorDrift),
  },
  {
    title: "background drift",
    meaning: "the same of the median colour",
    cell: (r) => fixed(4)(r.backgroundDrift),
  },
  { title: "loop", meaning: "1 repeats exactly", cell: (r) => fixed(2)(r.loopIndex) },
];
const JUDGED: readonly Column[] = [
  {
    title: "follows",
    meaning: "mean of the next four, over windows of the training length",
    cell: (r) => share(r.following),
  },
  { title: "background", meaning: "right colour behind", cell: right("background") },
  { title: "colour", meaning: "right colour of the object", cell: right("color") },
  { title: "shape", meaning: "right shape", cell: right("shape") },
  { title: "motion", meaning: "right motion", cell: right("motion") },
  {
    title: "drift",
    meaning: "follows, last third less first, points",
    cell: (r) => (r.drift ? (100 * r.drift.mean).toFixed(0) : "-"),
  },
  { title: "right way", meaning: "steps that go the prompted way", cell: (r) => share(r.rightWay) },
  {
    title: "froze",
    meaning: "moving prompts whose object slowed to under 30 %",
    cell: (r) => (r.frozenShare ? `${r.frozenShare.frozen} of ${r.frozenShare.moving}` : "-"),
  },
  { title: "motion kept", meaning: "of the motion at the training length", cell: CONTENT_FREE[2]!.cell },
];

/** The page. Clips are asked for one by one and stand in it as data. @throws UsageError `BAD_OPTION` */
export function renderComparison(comparison: Comparison, options: PageOptions): string {
  checkOptionKinds({ title: "string", facts: "array", clip: "function" }, options, "renderComparison");
  const rows = summarize(comparison);
  const reading = readComparison(comparison, rows);
  const tables =
    rows.length === 0
      ? ""
      : `${comparison.isJudged ? `<h2>Following the prompt</h2>\n${renderTable(comparison, rows, JUDGED)}` : ""}
<h2>Without knowing the prompt</h2>
${renderTable(comparison, rows, CONTENT_FREE)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(options.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(options.title)}</h1>
<p>${options.facts.map(escapeHtml).join("<br>\n")}</p>
<h2>What this shows</h2>
<ul>
${reading.map((line) => `<li>${escapeHtml(line)}</li>`).join("\n")}
</ul>
${tables}
<h2>Clips</h2>
${comparison.prompts.map((_, index) => renderClips(comparison, index, options)).join("\n")}
</body>
</html>
`;
}

function renderTable(
  comparison: Comparison,
  rows: readonly SummaryRow[],
  columns: readonly Column[],
): string {
  const head = columns
    .map(({ title, meaning }) => `<th title="${escapeHtml(meaning)}">${escapeHtml(title)}</th>`)
    .join("");
  const label = (name: string) => comparison.methods.find((method) => method.name === name)!.label;
  const body = rows.map((row, i) => {
    const cells = columns.map(({ cell }) => `<td>${escapeHtml(cell(row))}</td>`).join("");
    const isNew = i === 0 || rows[i - 1]!.factor !== row.factor;
    return `<tr${isNew ? ' class="first"' : ""}><td>${row.factor}x ${escapeHtml(label(row.method))}</td>${cells}</tr>`;
  });
  const meanings = columns.map(({ title, meaning }) => `${title}: ${meaning}`).join("; ");
  return `<div class="scroll"><table>
<tr><th></th>${head}</tr>
${body.join("\n")}
</table></div>
<p><small>${escapeHtml(meanings)}.</small></p>`;
}

function renderClips(comparison: Comparison, promptIndex: number, options: PageOptions): string {
  const { prompts, methods, lengths } = comparison;
  let isWide = false;
  const cell = (method: (typeof methods)[number], length: (typeof lengths)[number]) => {
    const result = resultOf(comparison, promptIndex, method, length);
    if (!result) return "<td></td>";
    isWide ||= result.score.width > 160;
    if (result.method !== method.name) return `<td>as ${escapeHtml(methods[0]!.label)}</td>`;
    const clip = options.clip(promptIndex, result.method, result.factor);
    const followed = result.following ? `, follows ${percent(result.following.total)}` : "";
    const caption = `${result.seconds.toFixed(1)} s, motion ${result.score.motionMean.toFixed(2)}${followed}`;
    return `<td>${clip ? element(clip) : ""}${escapeHtml(caption)}</td>`;
  };
  const body = methods.map(
    (method) =>
      `<tr><td>${escapeHtml(method.label)}</td>${lengths.map((length) => cell(method, length)).join("")}</tr>`,
  );
  const head = lengths.map(({ factor, numFrames }) => `<th>${factor}x (${numFrames} frames)</th>`).join("");
  return `<h3>${escapeHtml(prompts[promptIndex]!)}</h3>
<div class="scroll"><table class="clips${isWide ? " wide" : ""}">
<tr><th></th>${head}</tr>
${body.join("\n")}
</table></div>`;
}

function element({ mimeType, bytes }: PageClip): string {
  const source = `data:${mimeType};base64,${base64(bytes)}`;
  return mimeType.startsWith("video/")
    ? `<video src="${source}" autoplay loop muted playsinline></video>`
    : `<img src="${source}" alt="">`;
}

/** Part by part: `btoa` takes a text, and calls take only so many arguments. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}
