/** The pattern files of the Wan cases in the reference data. Tests only. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson, referenceCases } from "@lvsa/runtime/testing";
import type { HostGeometry } from "../pattern/geometry.js";

export interface WanPatterns<T> {
  readonly name: string;
  readonly patterns: T;
  /** Of the checkpoint the case was made with. */
  readonly host: HostGeometry;
}

/**
 * Every Wan case with a `patterns.json`. A folder named by `LVSA_REFERENCE_DIR` may have none: then empty, with a
 * printed reason. The repository's own copy has one.
 */
export function wanPatterns<T>(): WanPatterns<T>[] {
  const found = referenceCases("wan")
    .filter(({ directory }) => existsSync(join(directory, "patterns.json")))
    .map(({ name, directory }) => ({
      name,
      patterns: readJson<T>(join(directory, "patterns.json")),
      host: hostGeometry(directory),
    }));
  if (found.length === 0) {
    if (!process.env.LVSA_REFERENCE_DIR)
      throw new Error("No Wan case in the repository's reference data has patterns.json.");
    console.warn("skipped: no Wan case of the reference data has patterns.json");
  }
  return found;
}

/** Falls back to the configuration of Wan 2.1 where the case comes without its checkpoint. */
function hostGeometry(directory: string): HostGeometry {
  const caseFile = join(directory, "case.json");
  const checkpoint = existsSync(caseFile)
    ? join(directory, readJson<{ checkpoint: string }>(caseFile).checkpoint)
    : directory;
  const config = (part: string): Record<string, unknown> => {
    const path = join(checkpoint, part, "config.json");
    return existsSync(path) ? readJson(path) : {};
  };
  const vae = config("vae");
  return {
    spatialFactor: (vae.scale_factor_spatial as number | undefined) ?? 8,
    temporalFactor: (vae.scale_factor_temporal as number | undefined) ?? 4,
    transformerConfig: config("transformer"),
  };
}
