/** Tolerances as the HunyuanVideo, CogVideoX and Cosmos 3 cases state them: `{ group: { max_abs, rel_rms } }`. */
import type { Tolerance } from "./parity.js";
import type { CaseParameters } from "./reference-case.js";

/** @throws Error that lists what the case has */
export function caseTolerance(parameters: CaseParameters, ...groups: readonly string[]): Tolerance {
  const all = parameters.tolerance as Record<string, { max_abs?: number; rel_rms?: number }>;
  const found = groups.map((group) => all[group]).find((tolerance) => tolerance !== undefined);
  if (!found)
    throw new Error(`no tolerance ${groups.join(" or ")}; there are ${Object.keys(all).join(", ")}`);
  return {
    ...(found.max_abs === undefined ? {} : { max_abs: found.max_abs }),
    // rms(actual - expected) / rms(expected) is the relative L2 norm.
    ...(found.rel_rms === undefined ? {} : { rel_l2: found.rel_rms }),
  };
}
