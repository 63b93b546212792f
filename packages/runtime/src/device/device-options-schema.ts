/** The options of Node's `createDevice` as a schema; those of pages do without (`create-device.ts`). */
import * as z from "zod";

const truth = () => z.boolean("expected true or false").optional();
const functionOption = <T>() =>
  z.custom<T>((value) => typeof value === "function", "expected a function").optional();
const withMethod = <T>(method: string, message: string) =>
  z
    .custom<T>((value) => typeof (value as Record<string, unknown> | null)?.[method] === "function", message)
    .optional();

/** Of `DeviceOptions`. */
const deviceFields = {
  math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").optional(),
  rules: z
    .record(z.string(), z.string(), "expected names of kernel families with the rule of each")
    .optional(),
  profile: truth(),
};

const device = withMethod<GPUDevice>("createBuffer", "expected a GPUDevice");
const onNotice = functionOption();

export const nodeDeviceSchema = z.strictObject({
  ...deviceFields,
  ...{ device, onNotice, softwareAdapter: functionOption(), experimental: truth() },
  adapter: z
    .string("expected auto, embedded, a PCI address or a part of a driver's name")
    .min(1, "expected auto, embedded, a PCI address or a part of a driver's name")
    .optional(),
  bounds: z.enum(["auto", "checked", "unchecked"], "expected auto, checked or unchecked").optional(),
  proofFile: z.string("expected a path").optional(),
  lookForDrivers: functionOption(),
  dawnFlags: z.array(z.string(), "expected a list of texts").optional(),
});
