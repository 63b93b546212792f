/**
 * Variables to values, each once. Options win over variables, variables over entries of `LVSA_CONFIG`. This file is the
 * only one that reads the process's environment. Which hooks exist is not asked here: every `LVSA_<NAME>_HOOK` is a switch.
 */
import { nearestName, UsageError } from "@lvsa/core";
import {
  CONFIG_VARIABLE,
  type HookSettings,
  hookSettingsSchema,
  SETTINGS,
  type SettingName,
  snakeCase,
  type VariableInfo,
} from "./env-schema.js";
import { ACCEPTED, readSwitch, readValue } from "./env-values.js";
import { HOOK_VARIABLE } from "./hook-definition.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Who said a value. */
export type SettingSource = "option" | "variable" | "LVSA_CONFIG" | "default";

export interface HookSwitch {
  readonly on: boolean;
  readonly source: "variable" | "LVSA_CONFIG";
}

export interface EnvironmentValues {
  readonly settings: HookSettings;
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
  /** Of every hook that is mentioned, by its variable. */
  readonly switches: ReadonlyMap<string, HookSwitch>;
  /** `LVSA_*` names in the environment. */
  readonly names: readonly string[];
  /** Unknown entries of `LVSA_CONFIG`, settings without effect: a line each. */
  readonly warnings: readonly string[];
  /** Variables with bad values. */
  readonly problems: readonly string[];
  /** Whether a hook's variable is on, or neither on nor off. */
  readonly asks: boolean;
}

/** The environment of this process; empty in browsers. */
export function processEnvironment(): Environment {
  const { process } = globalThis as { process?: { env?: Environment } };
  return process?.env ?? {};
}

/** @throws UsageError `INVALID_OPTION` for bad explicit options */
export function readEnvironment(explicit: HookSettings, environment: Environment): EnvironmentValues {
  const given = checkExplicit(explicit);
  const problems: string[] = [];
  const warnings: string[] = [];
  const values: Partial<Record<SettingName, unknown>> = {};
  const sources = {} as Record<SettingName, SettingSource>;
  const switches = new Map<string, HookSwitch>();
  const fromConfig = readConfig(environment[CONFIG_VARIABLE.variable], switches, problems, warnings);

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
  const names = Object.keys(environment).filter(
    (name) => /^LVSA_/.test(name) && environment[name] !== undefined,
  );
  let asks = false;
  for (const variable of names.filter((name) => HOOK_VARIABLE.test(name))) {
    const text = environment[variable]!;
    const on = readSwitch(text);
    if (on === undefined) problems.push(problemText(variable, text, ACCEPTED.switch));
    else switches.set(variable, { on, source: "variable" });
    asks ||= on === undefined;
  }
  asks ||= [...switches.values()].some(({ on }) => on);
  return { settings: values as HookSettings, sources, switches, names, warnings, problems, asks };
}

/** @throws UsageError `INVALID_OPTION` */
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
  switches: Map<string, HookSwitch>,
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
    const variable = hookVariableOf(key);
    if (variable && typeof value === "boolean") {
      switches.set(variable, { on: value, source: "LVSA_CONFIG" });
    } else if (variable && value !== null) {
      problems.push(problemText(`LVSA_CONFIG, ${key}`, JSON.stringify(value), "true or false"));
    } else if (!setting && !variable) {
      const nearest = nearestName(key.toLowerCase(), keys);
      warnings.push(`LVSA_CONFIG has an unknown entry ${key}${nearest ? `; did you mean ${nearest}?` : ""}`);
    } else if (setting && accepts(setting.name, value)) {
      values[setting.name] = value;
    } else if (setting && value !== null) {
      problems.push(problemText(`LVSA_CONFIG, ${key}`, JSON.stringify(value), setting.info.accepted));
    }
  }
  return values;
}

/** `LVSA_WAN_HOOK` of `wan_hook`. */
function hookVariableOf(key: string): string | undefined {
  const variable = `LVSA_${key.toUpperCase()}`;
  return key === key.toLowerCase() && HOOK_VARIABLE.test(variable) ? variable : undefined;
}

function accepts(name: SettingName, value: unknown): boolean {
  return hookSettingsSchema.shape[name].safeParse(value).success;
}

function problemText(variable: string, text: string, accepted: string): string {
  return `${variable} is ${text.startsWith('"') ? text : JSON.stringify(text)}; expected ${accepted}`;
}
