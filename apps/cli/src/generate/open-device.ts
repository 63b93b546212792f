/** The device of a run. */
import type { Device } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import type { RunReporter } from "./reporter.js";

export function openDevice(
  options: Pick<GenerateCommandOptions, "device" | "math" | "profile">,
  reporter: RunReporter,
): Promise<Device> {
  return createDevice({
    adapter: options.device,
    profile: options.profile,
    math: options.math,
    softwareAdapter: () => import("@lvsa/software-adapter"),
    lookForDrivers: reporter.lookForDrivers,
    onNotice: (line) => reporter.notice(line),
  });
}
