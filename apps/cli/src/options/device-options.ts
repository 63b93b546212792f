/** What computes, and in which numbers: the same options with the same defaults for all commands that run or plan a model. */
import { activationDType, type Device } from "@lvsa/runtime";
import { type Command, Option } from "commander";
import * as z from "zod";

export const deviceFields = {
  precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").default("auto"),
  math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").default("auto"),
  device: z.string().min(1, "expected a name").default("auto"),
};

export type DeviceOptions = z.infer<z.ZodObject<typeof deviceFields>>;

export function addDeviceOptions(
  command: Command,
  names = "auto, embedded (software), or part of a driver's name",
): Command {
  return command
    .addOption(new Option("--device <name>", names).default("auto"))
    .addOption(new Option("--precision <type>", "storage of activations: auto, f32 or f16").default("auto"))
    .addOption(
      new Option(
        "--math <kind>",
        "products: exact, fast (operands rounded to f16, sums f32), or auto (fast on GPUs)",
      ).default("auto"),
    );
}

/** Storage of activations. Without a device to ask, a GPU that computes in f16 is meant. */
export function activationsOf(
  { precision, math }: Pick<DeviceOptions, "precision" | "math">,
  device: Pick<Device, "info" | "math"> | undefined,
): "f32" | "f16" {
  if (precision !== "auto") return precision;
  return activationDType(device ?? { math: math === "exact" ? "exact" : "fast", info: { f16: true } });
}
