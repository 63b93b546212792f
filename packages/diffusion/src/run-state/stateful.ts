/** What a part of a run remembers from one step to the next, as plain data. */
import { ConfigError } from "@lvsa/runtime";
import type { HostTensor } from "../pipelines/host-tensor.js";

/** What shaped a result, by the names that its metadata has; null: not given, or without effect. */
export type RunSettings = Readonly<Record<string, string | number | boolean | null>>;

/** Goes through JSON and safetensors without a change. */
export interface PartState {
  readonly values: Readonly<Record<string, number | string | boolean | null | readonly number[]>>;
  /** Not to be changed: the part that gave them may still read them. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

/** Schedulers, noise generators, and whatever else the next step depends on. */
export interface Stateful {
  /** Between two steps. Copies nothing that is large. */
  state(): PartState;
  /** Goes on where `state` was taken, bit for bit. @throws ConfigError `BAD_RUN_STATE` for the state of something else */
  restore(state: PartState): void;
}

export function badRunState(what: string): ConfigError {
  return new ConfigError("BAD_RUN_STATE", `the state of the run can not be used: ${what}`, {
    fix: "Take a state that a run of this version wrote.",
  });
}
