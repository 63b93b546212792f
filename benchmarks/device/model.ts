/**
 * Whole models on one GPU, one after the other in one process: JSON lines as `lvsa bench model` measures.
 *
 *     node model.mjs LABEL '{"config":"wan2.1-t2v-1.3b","numFrames":"81"}' …
 *
 * Each argument holds options of `lvsa bench model` under their long names in camel case. `DAWN_FLAGS` are Dawn's, separated
 * by `;`. BENCH_SECONDS ends it before the next argument.
 */
import { appendFileSync } from "node:fs";
import { createDevice } from "@lvsa/runtime/node";
import { openDriverProbe } from "../../apps/cli/src/bench/memory-probe.js";
import { runBenchModel } from "../../apps/cli/src/bench/run-bench-model.js";
import { benchModelRuns, parseBenchModelOptions } from "../../apps/cli/src/options/bench-options.js";
import { lvsaConfigOf } from "../../apps/cli/src/options/lvsa-options.js";

const [label = "now", ...runs] = process.argv.slice(2);
const flags = (process.env.DAWN_FLAGS ?? "").split(";").filter(Boolean);
const seconds = Number(process.env.BENCH_SECONDS ?? Number.POSITIVE_INFINITY);

function say(line: object): void {
  const text = `${JSON.stringify({ what: "model", label, flags, ...line })}\n`;
  process.stdout.write(text);
  if (process.env.BENCH_OUT) appendFileSync(process.env.BENCH_OUT, text);
}

for (const run of runs) {
  if (performance.now() > 1000 * seconds) break;
  const asked = JSON.parse(run) as Record<string, unknown>;
  const options = benchModelRuns(parseBenchModelOptions(asked))[0]!;
  using probe = openDriverProbe(Number(process.env.BENCH_GPU ?? 0));
  try {
    const device = await createDevice({
      dawnFlags: flags,
      bounds: "checked",
      adapter: options.device,
      math: options.math,
      ...(options.profile ? { profile: true } : {}),
    });
    try {
      const result = await runBenchModel({
        device,
        probe,
        options,
        config: lvsaConfigOf(options),
        onProgress: () => undefined,
      });
      say({ ...result, asked });
    } finally {
      device.dispose();
    }
  } catch (error) {
    say({ asked, failed: String(error).slice(0, 400) });
  }
}
