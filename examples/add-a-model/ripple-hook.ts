/** Step 5: `LVSA_RIPPLE_HOOK=1` switches LVSA on in an engine with `lvsaPlugin({ hooks: [rippleHook] })`. */
import { defineAdapterHook } from "@lvsa/hooks";

export const rippleHook = defineAdapterHook({
  family: "ripple",
  variable: "LVSA_RIPPLE_HOOK",
  // A package of one's own that exports `createRippleAdapter`.
  packageName: "lvsa-adapter-ripple",
  layer: "RippleAttention",
  create: "createRippleAdapter",
});
