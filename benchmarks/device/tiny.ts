/**
 * Tiny generations of every family with `math` exact and fast on one device: how far their final latents are apart. JSON
 * lines.
 *
 *     LVSA_REFERENCE_DIR=… node tiny.mjs LABEL
 */
import { appendFileSync } from "node:fs";
import { kernelSummary } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import { maxAbsolute, relativeL2 } from "@lvsa/runtime/testing";
import { generateTiny, tinyCases } from "../../packages/diffusion/src/testing-support/tiny-pipelines.js";

const label = process.argv[2] ?? "now";
const flags = (process.env.DAWN_FLAGS ?? "").split(";").filter(Boolean);
const adapter = process.env.LVSA_TEST_ADAPTER ?? "auto";

for (const one of await tinyCases()) {
  const line: Record<string, unknown> = { what: "tiny", label, flags, case: one.name };
  try {
    const exact = await createDevice({ math: "exact", dawnFlags: flags, bounds: "checked", adapter });
    const want = await generateTiny(exact, one, "f32");
    exact.dispose();
    for (const precision of ["f32", "f16"] as const) {
      const fast = await createDevice({ math: "fast", dawnFlags: flags, bounds: "checked", adapter });
      const got = await generateTiny(fast, one, precision);
      line[`fast ${precision}`] = {
        latents: relativeL2(got.latents, want.latents),
        bytes: maxAbsolute(got.frame, want.frame),
        kernels: kernelSummary(fast.kernelUses()),
      };
      fast.dispose();
    }
  } catch (error) {
    line.failed = String(error).slice(0, 300);
  }
  const text = `${JSON.stringify(line)}\n`;
  process.stdout.write(text);
  if (process.env.BENCH_OUT) appendFileSync(process.env.BENCH_OUT, text);
}
