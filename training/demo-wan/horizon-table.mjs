// Tables of what horizon.py left: node horizon-table.mjs horizon.jsonl [baseline.jsonl]
// Every way is compared prompt by prompt with 1x dense of the baseline (else of the same file).
import { readFileSync } from "node:fs";
import { bootstrapMean, mean, wilsonInterval } from "../../packages/quality/dist/index.js";

const [file, baseline = file] = process.argv.slice(2);
const read = (path) =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const ways = read(file);
const trained = read(baseline).find(({ factor, name }) => factor === 1 && name === "dense").clips;
const MOVING = 0.5;
const FROZEN = 0.3;
const percent = (value) => (100 * value).toFixed(1);

for (const way of ways) {
  const { clips } = way;
  const before = trained.slice(0, clips.length);
  const values = (name) => clips.map((clip) => clip[name]).filter((value) => typeof value === "number");
  const share = (name) => {
    const found = values(name);
    const { low, high } = wilsonInterval(mean(found) * found.length, found.length);
    return `${percent(mean(found))} (${percent(low)}–${percent(high)})`;
  };
  const of = (some, name) => mean(some.map((clip) => clip[name]));
  const moving = clips.flatMap(({ lateSpeed }, i) =>
    before[i].lateSpeed >= MOVING ? [(lateSpeed ?? 0) / before[i].lateSpeed] : [],
  );
  const less = bootstrapMean(clips.map((clip, i) => 100 * (clip.total - before[i].total)));
  way.row = {
    way: `${way.factor}x ${way.name}${way.student ? ` (student, speed ${way.speed})` : ""}`,
    n: clips.length,
    attended: percent(way.density),
    follows: share("total"),
    background: percent(of(clips, "background")),
    color: percent(of(clips, "color")),
    shape: percent(of(clips, "shape")),
    motion: percent(of(clips, "motion")),
    ofTrained: percent(of(clips, "total") / of(before, "total")),
    less: `${less.mean.toFixed(1)}${less.interval ? ` (${less.interval.low.toFixed(1)} to ${less.interval.high.toFixed(1)})` : ""}`,
    rightWay: percent(mean(values("rightWay"))),
    froze: `${moving.filter((ratio) => ratio < FROZEN).length} of ${moving.length}`,
    motionKept: percent(of(clips, "motionMean") / of(before, "motionMean")),
    late: (100 * of(clips, "drift")).toFixed(1),
    two: percent(of(clips, "severalObjects")),
    mass: of(clips, "massKept").toFixed(2),
    jump: of(clips, "jump").toFixed(2),
    flicker: of(clips, "flicker").toFixed(4),
    backgroundDrift: of(clips, "backgroundDrift").toFixed(4),
    sharpness: mean(values("sharpnessRatio")).toFixed(2),
  };
}
const rows = ways.map(({ row }) => row);
const names = Object.keys(rows[0]);
console.log(`| ${names.join(" | ")} |\n|${" --- |".repeat(names.length)}`);
for (const row of rows) console.log(`| ${names.map((name) => row[name]).join(" | ")} |`);
