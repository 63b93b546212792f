/** Variables as rows: for the README, and for people who ask what their shell has set. */
import { type Environment, processEnvironment, type SettingSource } from "./env.js";
import { CONFIG_VARIABLE, SETTINGS, type VariableInfo } from "./env-schema.js";
import { ACCEPTED } from "./env-values.js";
import type { HookDefinition } from "./hook-definition.js";
import { ownHooks } from "./hook-list.js";
import { type HooksOptions, inspectHooks } from "./resolve-hooks.js";

export interface EnvironmentRow {
  readonly variable: string;
  /** Text in the environment; undefined: unset. */
  readonly seen: string | undefined;
  /** Value in use; undefined: the default. */
  readonly value: unknown;
  readonly defaultText: string;
  readonly source: SettingSource;
  readonly about: string;
}

export interface EnvironmentReport {
  readonly rows: readonly EnvironmentRow[];
  /** Unknown names and settings without effect. */
  readonly warnings: readonly string[];
  /** Bad variables; those would end a run in which a hook is on. */
  readonly problems: readonly string[];
}

/** What every variable means in an environment, those of registered hooks included. */
export function environmentReport(
  environment: Environment = processEnvironment(),
  options: Omit<HooksOptions, "env"> = {},
): EnvironmentReport {
  const resolved = inspectHooks({ ...options, env: environment });
  const { settings, sources, problems } = resolved;
  const row = (
    { variable, defaultText, about }: Pick<VariableInfo, "variable" | "defaultText" | "about">,
    value: unknown,
    source: SettingSource,
  ): EnvironmentRow => ({ variable, seen: environment[variable], value, defaultText, source, about });
  const hooks = resolved.hooks.map((hook) => {
    const source = resolved.sourceOf(hook);
    return row(hookInfo(hook), source === "default" ? undefined : resolved.isOn(hook), source);
  });
  const rows = SETTINGS.map(({ name, info }) => row(info, settings[name], sources[name]));
  const isConfigured = Boolean(environment[CONFIG_VARIABLE.variable]);
  const config = row(CONFIG_VARIABLE, undefined, isConfigured ? "variable" : "default");
  const warnings = resolved.warnings.filter((line) => !problems.includes(line));
  return { rows: [...hooks, ...rows, config], warnings, problems };
}

/** The table of the README. */
export function environmentMarkdown(): string {
  const rows = [...ownHooks().map(hookInfo), ...SETTINGS.map(({ info }) => info), CONFIG_VARIABLE].map(
    ({ variable, accepted, defaultText, about }) =>
      `| \`${variable}\` | ${accepted} | ${defaultText} | ${about} |`,
  );
  return ["| variable | value | default | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

function hookInfo({ variable, family, about }: HookDefinition) {
  return {
    variable,
    accepted: ACCEPTED.switch,
    defaultText: "off",
    about: about ?? `LVSA in ${family} models.`,
  };
}
