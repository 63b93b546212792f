/** A generation between two steps: all that is needed to go on, bit for bit, on the same device and checkpoint. */
import { UsageError } from "@lvsa/runtime";
import type { HostTensor } from "../pipelines/host-tensor.js";
import type { Seed } from "../random/seed.js";
import { badRunState, type PartState, type RunSettings, type Stateful } from "./stateful.js";

/** Prompts are not part of it: they are encoded again, to the same numbers. */
export interface RunState {
  readonly family: string;
  /** Steps done, at least 1. */
  readonly step: number;
  readonly timesteps: readonly number[];
  /** Latents after step `step`, in the family's own layout. Not to be changed. */
  readonly latents: HostTensor;
  /** Of the noise, also where it was drawn at random. */
  readonly seed: Seed;
  /** The first latents were given, not drawn. */
  readonly startedFromLatents: boolean;
  /** As `GenerationResult.settings`: a run goes on with these alone. */
  readonly settings: RunSettings;
  /** By name: `scheduler`, `generator`, and others that steps depend on. */
  readonly parts: Readonly<Record<string, PartState>>;
}

/** What a run that goes on must have in common with its state. */
export type RunIdentity = Pick<RunState, "family" | "timesteps" | "settings"> & {
  readonly shape: readonly number[];
};

/** @throws UsageError `RUN_CHANGED` that names what is not as it was; ConfigError `BAD_RUN_STATE` for a step that is none */
export function checkRunState(state: RunState, run: RunIdentity): void {
  const { family, step, timesteps, latents, settings } = state;
  const changes: string[] = [];
  const compare = (name: string, was: unknown, is: unknown) => {
    if (String(was) !== String(is)) changes.push(`${name} was ${shown(was)} and is ${shown(is)}`);
  };
  compare("the family", family, run.family);
  compare("the latents' shape", `[${latents.shape.join(", ")}]`, `[${run.shape.join(", ")}]`);
  for (const name of new Set([...Object.keys(settings), ...Object.keys(run.settings)])) {
    compare(name, settings[name], run.settings[name]);
  }
  if (changes.length === 0 && timesteps.join() !== run.timesteps.join()) {
    changes.push("the scheduler's timesteps are other ones");
  }
  if (changes.length > 0) {
    throw new UsageError("RUN_CHANGED", `this run can not go on: ${changes.join("; ")}`, {
      fix: "Go on with the checkpoint and the options that the run began with.",
    });
  }
  if (Number.isInteger(step) && step >= 1 && step <= timesteps.length) return;
  throw badRunState(`it is after step ${step} of ${timesteps.length}`);
}

/** @throws ConfigError `BAD_RUN_STATE` for a part that is not in the state */
export function restoreParts(state: RunState, parts: Readonly<Record<string, Stateful>>): void {
  const [stored, wanted] = [Object.keys(state.parts).sort(), Object.keys(parts).sort()];
  if (stored.join() !== wanted.join()) {
    throw badRunState(`it holds the parts ${stored.join(", ")}, this run has ${wanted.join(", ")}`);
  }
  for (const [name, part] of Object.entries(parts)) part.restore(state.parts[name]!);
}

function shown(value: unknown): string {
  if (typeof value !== "string") return String(value ?? "not set");
  return value.length > 60 ? `${value.slice(0, 60)}…` : value;
}
