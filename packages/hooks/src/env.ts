/**
 * Settings from explicit options, `LVSA_*` variables and `LVSA_CONFIG`. Options win over variables, variables over
 * entries of `LVSA_CONFIG`, and all of them over the model's defaults. This file and `register.ts` are the only
 * ones that read the process's environment.
 */
import { nearestName, UsageError } from "@lvsa/core";
import {
  CONFIG_VARIABLE,
  FOREIGN_VARIABLES,
  type HookSettings,
  hookSettingsSchema,
  SETTINGS,
  type SettingName,
  snakeCase,
  type VariableInfo,
} from "./env-schema.js";
import { ACCEPTED, readSwitch, readValue } from "./env-values.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Who said a value. */
export type SettingSource = "option" | "variable" | "LVSA_CONFIG" | "default";

export interface ResolvedSettings {
  readonly settings: HookSettings;
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
  /** Switches of hooks that the schema does not know, by variable. */
  readonly switches: Readonly<Record<string, boolean>>;
  /** Bad variables that nobody needs, unknown names, settings without effect: a line each. */
  readonly warnings: readonly string[];
  /** The bad variables among them. */
  readonly problems: readonly string[];
}

export interface ResolveOptions {
  /** `LVSA_*` switches of further hooks, e.g. `LVSA_MYMODEL_HOOK`. */
  readonly switches?: readonly string[];
  /** LVSA was asked for by other means than a hook's variable: bad variables are errors. */
  readonly asked?: boolean;
  /** For reports: bad variables are never errors. */
  readonly tolerant?: boolean;
}

/** The environment of this process; empty in browsers. */
export function processEnvironment(): Environment {
  const { process } = globalThis as { process?: { env?: Environment } };
  return process?.env ?? {};
}

/**
 * @throws ConfigError `INVALID_VARIABLE` for bad variables when LVSA is asked for (else they are warnings);
 * `INVALID_OPTION` for bad explicit options, always
 */
export function resolveSettings(
  explicit: HookSettings = {},
  environment: Environment = {},
  options: ResolveOptions = {},
): ResolvedSettings {
  const given = checkExplicit(explicit);
  const problems: string[] = [];
  const warnings: string[] = [];
  const values: Partial<Record<SettingName, unknown>> = {};
  const sources = {} as Record<SettingName, SettingSource>;
  const fromConfig = readConfig(environment[CONFIG_VARIABLE.variable], problems, warnings);

  for (const { name, info } of SETTINGS) {
    const layers: [SettingSource, unknown][] = [
      ["option", given[name]],
      ["variable", readVariable(name, info, environment[info.variable], problems)],
      ["LVSA_CONFIG", fromConfig[name]],
    ];
    const [source, value] = layers.find(([, layer]) => layer !== undefined) ?? ["default", undefined];
    sources[name] = source;
    if (value === undefined) continue;
    values[name] = value;
    if (info.inert) warnings.push(`${info.variable} has no effect: ${info.inert}`);
  }
  const switches: Record<string, boolean> = {};
  for (const variable of options.switches ?? []) {
    const text = environment[variable];
    if (text === undefined) continue;
    const value = readSwitch(text);
    if (value === undefined) problems.push(problemText(variable, text, ACCEPTED.switch));
    else switches[variable] = value;
  }
  warnings.push(...unknownNames(environment, options.switches ?? []));

  const settings = values as HookSettings;
  const { wanHook, hunyuanHook, cogvideoxHook, cosmos3Hook } = settings;
  const hooks = [wanHook, hunyuanHook, cogvideoxHook, cosmos3Hook, ...Object.values(switches)];
  const asked =
    options.asked || hooks.includes(true) || problems.some((text) => /^LVSA_\w+_HOOK /.test(text));
  if (problems.length > 0 && asked && !options.tolerant) {
    throw new UsageError("INVALID_VARIABLE", problems.join("\n"), {
      fix: "Correct or unset the variable; `lvsa env` shows all of them.",
    });
  }
  return { settings, sources, switches, warnings: [...problems, ...warnings], problems };
}

/** @throws ConfigError `INVALID_OPTION` */
function checkExplicit(explicit: HookSettings): HookSettings {
  const parsed = hookSettingsSchema.safeParse(explicit);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${path.join(".") || "options"}: ${message}`,
  );
  throw new UsageError("INVALID_OPTION", `Bad options of LVSA's hooks. ${problems.join("; ")}.`);
}

/** The value of a variable, or undefined where it is unset or (after noting it) bad. */
function readVariable(
  name: SettingName,
  info: VariableInfo,
  text: string | undefined,
  problems: string[],
): unknown {
  if (text === undefined || (text === "" && info.emptyIsUnset)) return undefined;
  const value = readValue(info.kind, text);
  if (value !== undefined && accepts(name, value)) return value;
  problems.push(problemText(info.variable, text, info.accepted));
  return undefined;
}

function readConfig(
  text: string | undefined,
  problems: string[],
  warnings: string[],
): Partial<Record<SettingName, unknown>> {
  if (text === undefined || text === "") return {};
  const json = readValue("json", text) as Record<string, unknown> | undefined;
  if (json === undefined) {
    problems.push(problemText(CONFIG_VARIABLE.variable, text, CONFIG_VARIABLE.accepted));
    return {};
  }
  const values: Partial<Record<SettingName, unknown>> = {};
  const keys = SETTINGS.map(({ name }) => snakeCase(name));
  for (const [key, value] of Object.entries(json)) {
    const setting = SETTINGS[keys.indexOf(key)];
    if (!setting) {
      const nearest = nearestName(key.toLowerCase(), keys);
      warnings.push(`LVSA_CONFIG has an unknown entry ${key}${nearest ? `; did you mean ${nearest}?` : ""}`);
    } else if (accepts(setting.name, value)) {
      values[setting.name] = value;
    } else if (value !== null) {
      problems.push(problemText(`LVSA_CONFIG, ${key}`, JSON.stringify(value), setting.info.accepted));
    }
  }
  return values;
}

function accepts(name: SettingName, value: unknown): boolean {
  return hookSettingsSchema.shape[name].safeParse(value).success;
}

function problemText(variable: string, text: string, accepted: string): string {
  return `${variable} is ${text.startsWith('"') ? text : JSON.stringify(text)}; expected ${accepted}`;
}

function unknownNames(environment: Environment, switches: readonly string[]): string[] {
  const settings = SETTINGS.map(({ info }) => info.variable);
  const suggested = [...settings, CONFIG_VARIABLE.variable, ...switches];
  const known = new Set([...suggested, ...FOREIGN_VARIABLES]);
  return Object.keys(environment)
    .filter((name) => /^LVSA_/.test(name) && environment[name] !== undefined && !known.has(name))
    .sort()
    .map((name) => {
      const nearest = nearestName(name, suggested);
      return `unknown variable ${name}${nearest ? `; did you mean ${nearest}?` : ""}`;
    });
}
