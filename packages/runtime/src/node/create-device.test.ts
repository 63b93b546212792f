import { expect, it } from "vitest";
import { createDevice as createNeutralDevice } from "../device/create-device.js";
import { createDevice } from "./create-device.js";

it.each([
  [{ math: "x" }, /^math: expected auto, exact or fast$/],
  [{ maths: "fast" }, /^unknown option maths; did you mean math\?$/],
  [{ adaptor: "embedded" }, /^unknown option adaptor; did you mean adapter\?$/],
  [{ adapter: 3 }, /^adapter: expected auto, embedded/],
  [{ adapter: "" }, /^adapter: expected auto, embedded/],
  [{ bounds: "on" }, /^bounds: expected auto, checked or unchecked$/],
  [{ dawnFlags: "enable-dawn-features=a" }, /^dawnFlags: expected a list of texts$/],
  [{ device: {} }, /^device: expected a GPUDevice$/],
  [
    { profile: "yes", experimental: 1 },
    /^profile: expected true or false; experimental: expected true or false$/,
  ],
  [{ rules: { linear: 1 } }, /^rules\.linear: /],
] as const)("a device's options are checked before a driver is looked for: %o", async (options, message) => {
  await expect(createDevice(options as object)).rejects.toMatchObject({
    code: "BAD_OPTION",
    isUsage: true,
    message: expect.stringMatching(message),
    fix: expect.stringContaining("math, rules, profile"),
  });
});

it("in browsers too", async () => {
  const adapter = "embedded" as unknown as GPUAdapter;
  await expect(createNeutralDevice({ adapter })).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: "adapter: expected a GPUAdapter",
  });
});
