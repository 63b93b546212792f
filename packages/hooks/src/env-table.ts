/** Variables as rows: for the README, and for people who ask what their shell has set. */
import { type Environment, processEnvironment, resolveSettings, type SettingSource } from "./env.js";
import { CONFIG_VARIABLE, type HookSettings, SETTINGS } from "./env-schema.js";

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

/** What every variable means in an environment. */
export function environmentReport(
  environment: Environment = processEnvironment(),
  explicit: HookSettings = {},
): EnvironmentReport {
  const { settings, sources, warnings, problems } = resolveSettings(explicit, environment, {
    tolerant: true,
  });
  const rows = SETTINGS.map(({ name, info }): EnvironmentRow => {
    const { variable, defaultText, about } = info;
    return {
      variable,
      seen: environment[variable],
      value: settings[name],
      defaultText,
      source: sources[name],
      about,
    };
  });
  const { variable, defaultText, about } = CONFIG_VARIABLE;
  const seen = environment[variable];
  const config: EnvironmentRow = {
    variable,
    seen,
    value: undefined,
    defaultText,
    source: seen ? "variable" : "default",
    about,
  };
  return { rows: [...rows, config], warnings: warnings.filter((line) => !problems.includes(line)), problems };
}

/** The table of the README. */
export function environmentMarkdown(): string {
  const rows = [...SETTINGS.map(({ info }) => info), CONFIG_VARIABLE].map(
    ({ variable, accepted, defaultText, about }) =>
      `| \`${variable}\` | ${accepted} | ${defaultText} | ${about} |`,
  );
  return ["| variable | value | default | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
