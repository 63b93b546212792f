/** Options, environment and the hooks that exist, as one value that everything below takes. */
import { checkOptionKinds, nearestName, type OptionKinds, UsageError } from "@lvsa/core";
import {
  type Environment,
  type EnvironmentValues,
  processEnvironment,
  readEnvironment,
  type SettingSource,
} from "./env.js";
import {
  CONFIG_VARIABLE,
  FOREIGN_VARIABLES,
  type HookSettings,
  SETTINGS,
  type SettingName,
} from "./env-schema.js";
import type { HookDefinition, PackageLoaders } from "./hook-definition.js";
import type { HookEvent, HookLogger } from "./hook-events.js";
import { listHooks, onePerFamily } from "./hook-list.js";

/** Settings by name (they win over variables), and how the plugin behaves. */
export interface HooksOptions extends HookSettings {
  /** Default: the environment of the process; `{}`: none. */
  readonly env?: Environment;
  /** Families whose hooks are on, whatever variables say; `[]`: none. Default: as variables say. */
  readonly families?: readonly string[];
  /** Hooks besides those of `listHooks()`; they come first. */
  readonly hooks?: readonly HookDefinition[];
  /** How adapter packages are loaded, by family. Bundlers need this; Node finds them by name. */
  readonly packages?: PackageLoaders;
  /** Where log lines go; default: the engine's log. */
  readonly logger?: HookLogger;
  readonly onEvent?: (event: HookEvent) => void;
}

/** Options that are no settings. */
type Behaviour = Pick<HooksOptions, "hooks" | "families" | "packages" | "logger" | "onEvent">;

/** Names of settings; `readEnvironment` checks their values. */
export const HOOKS_KINDS = {
  ...Object.fromEntries(SETTINGS.map(({ name }) => [name, "any"])),
  ...{
    env: "object",
    families: "array",
    hooks: "array",
    packages: "object",
    logger: "function",
    onEvent: "function",
  },
} as unknown as OptionKinds<HooksOptions>;

/**
 * Reads options and environment, once. Bad variables are an error when LVSA is asked for (a hook's variable is on, or
 * `families` names one), else they are warnings.
 *
 * @throws UsageError `INVALID_VARIABLE`, `INVALID_OPTION`, `BAD_OPTION`
 */
export function resolveHooks(options: HooksOptions = {}): ResolvedHooks {
  const resolved = inspectHooks(options);
  if (resolved.problems.length === 0 || !resolved.isAsked) return resolved;
  throw new UsageError("INVALID_VARIABLE", resolved.problems.join("\n"), {
    fix: "Correct or unset the variable; `lvsa env` shows all of them.",
  });
}

/** The same for reports: bad variables are never errors. @throws UsageError `INVALID_OPTION`, `BAD_OPTION` */
export function inspectHooks(options: HooksOptions = {}): ResolvedHooks {
  checkOptionKinds(HOOKS_KINDS, options, "LVSA's hooks");
  const { env = processEnvironment(), hooks, families, packages, logger, onEvent, ...explicit } = options;
  return new ResolvedHooks(
    { hooks, families, packages, logger, onEvent } as Behaviour,
    readEnvironment(explicit, env),
  );
}

/** What was said, about settings and hooks. Which hooks there are is asked anew each time: packages may register more. */
export class ResolvedHooks {
  /** Options that are no settings. */
  readonly options: Behaviour;
  readonly #values: EnvironmentValues;

  constructor(options: Behaviour, values: EnvironmentValues) {
    this.options = options;
    this.#values = values;
  }

  get settings(): HookSettings {
    return this.#values.settings;
  }

  get sources(): Readonly<Record<SettingName, SettingSource>> {
    return this.#values.sources;
  }

  /** Variables with bad values; no errors, because nobody asked for LVSA. */
  get problems(): readonly string[] {
    return this.#values.problems;
  }

  /** Whether LVSA was asked for, by a hook that exists or not. */
  get isAsked(): boolean {
    const { families } = this.options;
    return families ? families.length > 0 : this.#values.asks;
  }

  /** One per family: those of the options, then those of `listHooks()`. */
  get hooks(): readonly HookDefinition[] {
    return onePerFamily([...(this.options.hooks ?? []), ...listHooks()]);
  }

  /** The hook of a family, whether it is on or not. */
  hookOf(family: string): HookDefinition | undefined {
    return this.hooks.find((hook) => hook.family === family);
  }

  /** Who says whether a hook is on. */
  sourceOf({ variable }: HookDefinition): SettingSource {
    if (this.options.families) return "option";
    return this.#values.switches.get(variable)?.source ?? "default";
  }

  isOn({ family, variable }: HookDefinition): boolean {
    const { families } = this.options;
    return families ? families.includes(family) : this.#values.switches.get(variable)?.on === true;
  }

  /** Hooks that are on. @throws UsageError `INVALID_OPTION` when `families` names one that no hook is for */
  get on(): readonly HookDefinition[] {
    const { hooks } = this;
    const known = hooks.map(({ family }) => family);
    const unknown = (this.options.families ?? []).find((family) => !known.includes(family));
    if (unknown !== undefined) {
      const nearest = nearestName(unknown, known);
      throw new UsageError("INVALID_OPTION", `no hook is for the family ${unknown}`, {
        fix: nearest ? `Did you mean ${nearest}?` : `Known families: ${known.join(", ")}.`,
      });
    }
    return hooks.filter((hook) => this.isOn(hook));
  }

  /** Bad variables that nobody needs, unknown names, settings without effect: a line each. */
  get warnings(): readonly string[] {
    const { problems, warnings, names, switches } = this.#values;
    const hooks = this.hooks.map(({ variable }) => variable);
    const suggested = [...hooks, ...SETTINGS.map(({ info }) => info.variable), CONFIG_VARIABLE.variable];
    const known = new Set([...suggested, ...FOREIGN_VARIABLES]);
    const nearest = (name: string) => {
      const found = nearestName(name, suggested);
      return found ? `; did you mean ${found}?` : "";
    };
    const variables = names
      .filter((name) => !known.has(name))
      .sort()
      .map((name) => `unknown variable ${name}${nearest(name)}`);
    const entries = [...switches]
      .filter(([variable, { source }]) => source === "LVSA_CONFIG" && !known.has(variable))
      .map(([variable]) => `LVSA_CONFIG speaks of an unknown hook, ${variable}${nearest(variable)}`);
    return [...problems, ...warnings, ...entries, ...variables];
  }
}
