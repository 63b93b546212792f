/** LVSA by environment: the hooks' plugin, unless `--lvsa` says the same with options. */
import type { EnginePlugin } from "@lvsa/core";
import { type Environment, lvsaPlugin, resolveHooks } from "@lvsa/hooks";
import type { RunReporter } from "./reporter.js";

/** Literal names, so that the packages this one depends on are those that are loaded. */
const packages = {
  wan: () => import("@lvsa/adapter-wan"),
  hunyuan: () => import("@lvsa/adapter-hunyuan"),
  cogvideox: () => import("@lvsa/adapter-cogvideox"),
  cosmos3: () => import("@lvsa/cosmos3-processor"),
} as const;

/**
 * Plugins for the engine: none where no `LVSA_*_HOOK` is on, or where `--lvsa` is given, which wins.
 * @throws UsageError for bad variables when a hook is on
 */
export function hookPlugins(
  { lvsa }: { readonly lvsa: boolean },
  reporter: RunReporter,
  env: Environment,
): EnginePlugin[] {
  const resolved = resolveHooks({ env, packages, logger: (line) => reporter.log(line) });
  // The plugin says what is wrong with variables; without it nobody else would.
  const says = resolved.on.length > 0 && !lvsa;
  if (says) return [lvsaPlugin(resolved)];
  for (const warning of resolved.warnings) reporter.notice(`warning: ${warning}`);
  if (resolved.on.length > 0) {
    reporter.notice("warning: LVSA_* variables ignored: --lvsa is given, and options win");
  }
  return [];
}
