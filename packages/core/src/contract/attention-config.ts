/** Which attention backend serves which role, as users write it. */
import { type ConfigError, UsageError } from "@lvsa/runtime";
import type { BackendExtra } from "./attention-processor.js";

/** A backend by name, with settings of its own. */
export interface BackendChoice {
  readonly backend: string;
  readonly extra?: BackendExtra;
}

export interface AttentionConfig {
  /** For roles that `perRole` does not name. `auto` is as good as nothing. */
  readonly default?: string | BackendChoice;
  readonly perRole?: Readonly<Record<string, string | BackendChoice>>;
}

/** A name or a choice as a choice; `auto` and nothing as undefined. */
export function choiceOf(given: string | BackendChoice | undefined): BackendChoice | undefined {
  const choice = typeof given === "string" ? { backend: given } : given;
  return choice === undefined || choice.backend === "auto" ? undefined : choice;
}

/**
 * An attention config from JSON: `{ "default": …, "per_role": { "self": { "backend": "LVSA" } } }`. `perRole` is
 * the same as `per_role`; nested roles are joined by dots (`{ "ltx2": { "audio_to_video": "X" } }`).
 *
 * @throws ConfigError `INVALID_ATTENTION_CONFIG` that says where
 */
export function parseAttentionConfig(json: unknown): AttentionConfig {
  const { default: fallback, per_role, perRole, ...rest } = objectOf(json, "the attention config");
  const unknown = Object.keys(rest);
  if (unknown.length > 0) throw invalid(`the attention config has no field ${unknown.join(", ")}`);
  const roles: Record<string, BackendChoice> = {};
  for (const given of [per_role, perRole]) {
    if (given !== undefined) flatten(objectOf(given, "per_role"), "", roles);
  }
  return {
    ...(fallback === undefined || fallback === null ? {} : { default: parseChoice(fallback, "default") }),
    perRole: roles,
  };
}

function flatten(given: Record<string, unknown>, prefix: string, into: Record<string, BackendChoice>): void {
  for (const [name, value] of Object.entries(given)) {
    const role = `${prefix}${name}`;
    if (typeof value === "string" || "backend" in objectOf(value, role))
      into[role] = parseChoice(value, role);
    else flatten(value as Record<string, unknown>, `${role}.`, into);
  }
}

function parseChoice(value: unknown, where: string): BackendChoice {
  if (typeof value === "string") return { backend: value };
  const { backend, extra, ...rest } = objectOf(value, where);
  if (typeof backend !== "string") throw invalid(`${where}: backend is ${JSON.stringify(backend)}`);
  const unknown = Object.keys(rest);
  if (unknown.length > 0) throw invalid(`${where} has no field ${unknown.join(", ")}`);
  return { backend, ...(extra === undefined ? {} : { extra: objectOf(extra, `${where}.extra`) }) };
}

function objectOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalid(`${where} is ${JSON.stringify(value)}; expected an object`);
}

function invalid(message: string): ConfigError {
  return new UsageError("INVALID_ATTENTION_CONFIG", message, {
    fix: 'Write a backend\'s name, or {"backend": name, "extra": {…}}, per role.',
  });
}
