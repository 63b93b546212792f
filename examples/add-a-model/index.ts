/**
 * The package: importing it is all that an application, or `node --import lvsa-ripple`, has to do. Both registrations lie in
 * the process, so that no line of LVSA's packages or of the application changes.
 */
import { registerPipeline } from "@lvsa/diffusion";
import { registerHook } from "@lvsa/hooks";
import { rippleHook } from "./ripple-hook.js";

export { createRippleAdapter, RippleAdapter } from "./ripple-adapter.js";

registerHook(rippleHook);
registerPipeline("RipplePipeline", async () => {
  const { RipplePipeline } = await import("./ripple-pipeline.js");
  return (folder, options) => RipplePipeline.fromPretrained(folder, options);
});
